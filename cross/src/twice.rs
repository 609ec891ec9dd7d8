//! Whether another folder gives the same bytes.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use crate::build::{self, Built};
use crate::place::Place;
use crate::target::{Profile, Recipe, Target};

/// Builds from a copy of the sources, from nothing, and compares: what is for devices. The gateway's OpenSSL
/// keeps the names of the folders in which it was built.
pub(crate) fn check(place: &Place, target: Target, built: &[Built]) -> io::Result<()> {
    let root = place.cross.join("twice/another-folder");
    let again = Place { cross: root.join("out"), root };
    if again.root.exists() {
        fs::remove_dir_all(&again.root)?;
    }
    copy_sources(&place.root, &again.root)?;
    fs::create_dir_all(&again.cross)?;
    std::os::unix::fs::symlink(place.cross.join("tools"), again.cross.join("tools"))?;
    let recipes: Vec<&Recipe> =
        target.recipes().iter().filter(|recipe| recipe.profile == Profile::Device).collect();
    for (recipe, other) in recipes.iter().zip(build::build(&again, target, &recipes)?) {
        let one = built.iter().find(|one| one.name == recipe.name);
        let one = one.ok_or_else(|| io::Error::other(format!("{} was not built", recipe.name)))?;
        let (one_bytes, other_bytes) = (fs::read(&one.stripped)?, fs::read(&other.stripped)?);
        if one_bytes != other_bytes {
            let at = one_bytes.iter().zip(&other_bytes).position(|(one, other)| one != other);
            return Err(io::Error::other(format!(
                "{} for {} is not the same from another folder: {} and {} bytes, first at {at:?}\n\
                 hint: compare {} and {}",
                one.name,
                target.name(),
                one_bytes.len(),
                other_bytes.len(),
                one.symbols.display(),
                other.symbols.display(),
            )));
        }
    }
    fs::remove_dir_all(&again.root)
}

/// Copies what git knows, or would take.
fn copy_sources(from: &Path, to: &Path) -> io::Result<()> {
    let mut command = Command::new("git");
    command.current_dir(from).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let output = command.output()?;
    let names = String::from_utf8(output.stdout).map_err(io::Error::other)?;
    if names.is_empty() {
        return Err(io::Error::other("git does not say which files are sources"));
    }
    for name in names.split_terminator('\0') {
        let (source, copy) = (from.join(name), to.join(name));
        // One that is deleted and not yet committed.
        if !source.exists() {
            continue;
        }
        if let Some(folder) = copy.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::copy(source, copy)?;
    }
    Ok(())
}
