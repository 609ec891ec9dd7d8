//! What the copy's build need not build again: the dependencies, as the workspace's own build has
//! them. (They are the same packages with the same features; the copy's own crates lie elsewhere,
//! so that cargo tells them apart.)

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// The beginning of the names of the workspace's own crates.
const OWN: &str = "driftlog";

/// Puts what is built of the dependencies into the copy's target, where there is nothing yet.
///
/// # Errors
/// When the disk refuses.
pub(super) fn seed(target: &Path) -> io::Result<()> {
    let debug = target.join("debug");
    let binary = std::env::current_exe()?;
    let Some(own) = binary.parent().filter(|own| own.ends_with("debug") && !debug.exists()) else {
        return Ok(());
    };
    for folder in ["deps", "build", ".fingerprint"] {
        take(&own.join(folder), &debug.join(folder), folder == "deps")?;
    }
    Ok(())
}

/// Takes over a folder. Cargo compares times, so a copy keeps that of its original.
fn take(from: &Path, to: &Path, is_linked: bool) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let text = name.to_string_lossy();
        if text.trim_start_matches("lib").starts_with(OWN) {
            continue;
        }
        let place = to.join(&name);
        if path.is_dir() {
            take(&path, &place, is_linked)?;
        } else if !is_linked || fs::hard_link(&path, &place).is_err() {
            fs::copy(&path, &place)?;
            File::options().write(true).open(&place)?.set_modified(entry.metadata()?.modified()?)?;
        }
    }
    Ok(())
}
