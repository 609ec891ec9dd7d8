//! Where a command works, so that what it made can be looked at afterwards.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Says that a folder was made by a demo, so that the next one may clear it.
const MARK: &str = ".made-by-driftlog-demo";

/// The folder to work in: the one that is to be kept, else `target/demo`, emptied of the last demo.
///
/// # Errors
/// When it cannot be made, or holds what no demo made.
pub fn prepare(keep: Option<&Path>) -> io::Result<PathBuf> {
    let folder = match keep {
        Some(folder) => {
            check_empty(folder)?;
            folder.to_owned()
        }
        None => {
            let folder = beside_the_binary("demo")?;
            clear(&folder)?;
            folder
        }
    };
    fs::create_dir_all(&folder)?;
    if keep.is_none() {
        fs::write(folder.join(MARK), "")?;
    }
    fs::canonicalize(folder)
}

/// A folder that is to be kept must not be there yet, or be empty.
///
/// # Errors
/// When there is something in it.
pub fn check_empty(folder: &Path) -> io::Result<()> {
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        let what = format!("{} is not empty\nhint: name a folder that is not there", folder.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
    }
    Ok(())
}

/// `target/NAME` for a binary in `target/release` or the like; else a folder for temporary files.
///
/// # Errors
/// When the kernel does not say which binary this is.
pub fn beside_the_binary(name: &str) -> io::Result<PathBuf> {
    let binary = std::env::current_exe()?;
    let target = binary.parent().and_then(Path::parent);
    match target.filter(|target| target.join("CACHEDIR.TAG").exists()) {
        Some(target) => Ok(target.join(name)),
        None => Ok(std::env::temp_dir().join(format!("driftlog-{name}"))),
    }
}

fn clear(folder: &Path) -> io::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    if !folder.join(MARK).exists() {
        let what = format!(
            "{} is in the way and not the work of a demo\nhint: remove it, or choose another place with --keep",
            folder.display()
        );
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
    }
    fs::remove_dir_all(folder)
}

/// A path as a person types it here: relative where it lies below the working folder.
#[must_use]
pub fn shown(path: &Path) -> String {
    let here = std::env::current_dir().and_then(fs::canonicalize).unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_demo_made_is_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("demo");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("thesis.tex"), "years of work").unwrap();
        assert!(clear(&folder).unwrap_err().to_string().contains("hint:"));
        assert!(folder.join("thesis.tex").exists());
        fs::write(folder.join(MARK), "").unwrap();
        clear(&folder).unwrap();
        assert!(!folder.exists());
    }

    #[test]
    fn a_folder_to_keep_must_be_empty() {
        let dir = tempfile::tempdir().unwrap();
        prepare(Some(dir.path())).unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        assert!(prepare(Some(dir.path())).unwrap_err().to_string().contains("is not empty"));
    }
}
