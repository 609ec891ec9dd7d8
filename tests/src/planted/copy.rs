//! The copy in which the bugs are planted: every file that git knows, and a choice at each snippet.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::list::{Bug, CONDITION, Change, place};

/// Which bug is switched on, for the copy's processes and tests: its number in the list, from 1.
pub(super) const SWITCH: &str = "DRIFTLOG_PLANTED";

/// The crate that all others see; it has the switch.
const CRATE: &str = "proto/src/lib.rs";

/// What is added to that crate. The copy is built for this machine only, so it may have `std`.
const QUESTION: &str = "
extern crate std;

/// Whether this bug is switched on.
#[must_use]
pub fn planted(bug: u32) -> bool {
    static CHOSEN: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    let chosen = || std::env::var(\"DRIFTLOG_PLANTED\").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    *CHOSEN.get_or_init(chosen) == bug
}
";

/// Makes the copy, or brings it up to date: a file that is as it was is not written, so that only
/// what changed is built again.
///
/// # Errors
/// When git cannot be asked, a snippet is not where the list says, or the disk refuses.
pub(super) fn make(root: &Path, copy: &Path, bugs: &[Bug]) -> io::Result<()> {
    let placed = place(bugs, |file| fs::read_to_string(root.join(file)))?;
    let mut wanted = BTreeSet::new();
    for path in tracked(root)? {
        let Ok(mut content) = fs::read(root.join(&path)) else { continue };
        if let Some(changes) = path.to_str().and_then(|path| placed.get(path)) {
            let mut text = String::from_utf8(content).map_err(io::Error::other)?;
            for placed in changes.iter().rev() {
                let name = if path.starts_with("proto/src") { "crate" } else { "driftlog_proto" };
                let condition = format!("{name}::planted({})", placed.bug + 1);
                text.replace_range(placed.range.clone(), &choice(placed.change, &condition));
            }
            content = text.into_bytes();
        }
        if path.as_os_str() == CRATE {
            content.extend_from_slice(QUESTION.as_bytes());
        }
        write_if_changed(&copy.join(&path), &content)?;
        wanted.insert(path);
    }
    remove_others(copy, copy, &wanted)
}

/// What stands in the copy: the one or the other, chosen at run time.
pub(super) fn choice(change: &Change, condition: &str) -> String {
    let (is, becomes) = (&change.is, &change.becomes);
    if becomes.contains(CONDITION) {
        return becomes.replace(CONDITION, condition);
    }
    let choice = format!("if {condition} {{ {becomes} }} else {{ {is} }}");
    // Statements stand by themselves, expressions may stand anywhere.
    if is.ends_with([';', '}']) { choice } else { format!("({choice})") }
}

/// The files that git tracks, and those that it would if they were added.
fn tracked(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut git = Command::new("git");
    git.current_dir(root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let output = git.output()?;
    if !output.status.success() {
        let hint = "hint: run this in a clone of the repository";
        return Err(io::Error::other(format!("git does not list the files of {}\n{hint}", root.display())));
    }
    let paths = output.stdout.split(|byte| *byte == 0).filter(|path| !path.is_empty());
    Ok(paths.map(|path| PathBuf::from(String::from_utf8_lossy(path).into_owned())).collect())
}

fn write_if_changed(path: &Path, content: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|known| known == content) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, content)
}

/// Removes what an earlier copy had and this one has not.
fn remove_others(copy: &Path, folder: &Path, wanted: &BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Ok(relative) = path.strip_prefix(copy) else { continue };
        if path.is_dir() {
            remove_others(copy, &path, wanted)?;
        } else if !wanted.contains(relative) && relative.as_os_str() != "Cargo.lock" {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}
