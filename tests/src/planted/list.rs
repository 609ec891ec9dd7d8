//! The list of bugs: `tests/planted/*.toml`.
//!
//! A bug changes one place, or several that make sense only together. What a snippet becomes is
//! either an expression or statements in its stead, or, where it has the word `PLANTED`, the text
//! that stands there in the copy, with the word as the condition that the bug is switched on.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;

/// The folder with the lists.
const FOLDER: &str = "tests/planted";
/// Stands for the condition in a text that is put in place as it is.
pub(super) const CONDITION: &str = "PLANTED";

/// A deliberate bug.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bug {
    /// What is wrong, in words joined by hyphens.
    pub(super) name: String,
    /// The rule, invariant or promise that it breaks.
    pub(super) breaks: String,
    /// The check that is expected to find it first.
    pub(super) found_by: String,
    /// Where it is planted.
    pub(super) at: Vec<Change>,
}

/// A snippet and what it becomes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    /// The file, from the root of the workspace.
    pub(super) file: String,
    /// What stands there, exactly once.
    pub(super) is: String,
    /// What stands there in its stead.
    pub(super) becomes: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    bug: Vec<Bug>,
}

/// All bugs, in the order of the files' names.
///
/// # Errors
/// When a list cannot be read or understood.
pub(super) fn read(root: &Path) -> io::Result<Vec<Bug>> {
    let mut paths: Vec<_> =
        fs::read_dir(root.join(FOLDER))?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    let mut bugs = Vec::new();
    for path in paths {
        let list: List = toml::from_str(&fs::read_to_string(&path)?)
            .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
        bugs.extend(list.bug);
    }
    Ok(bugs)
}

/// A change with the place where its snippet stands, and the number of its bug.
#[derive(Clone, Debug)]
pub(super) struct Placed<'b> {
    pub(super) range: Range<usize>,
    pub(super) bug: usize,
    pub(super) change: &'b Change,
}

/// Where each change stands, by file and in order. `text` gives a file's text.
///
/// # Errors
/// A sentence about the first snippet that does not stand exactly once, or that overlaps another.
pub(super) fn place<'b>(
    bugs: &'b [Bug],
    mut text: impl FnMut(&str) -> io::Result<String>,
) -> io::Result<BTreeMap<&'b str, Vec<Placed<'b>>>> {
    let mut placed: BTreeMap<&str, Vec<Placed<'_>>> = BTreeMap::new();
    for (number, bug) in bugs.iter().enumerate() {
        for change in &bug.at {
            let text = text(&change.file)?;
            let mut found = text.match_indices(&change.is);
            let (Some((at, _)), None) = (found.next(), found.next()) else {
                let count = text.matches(&change.is).count();
                let what = format!("{}: its snippet stands {count} times in {}", bug.name, change.file);
                return Err(io::Error::other(what));
            };
            let range = at..at + change.is.len();
            placed.entry(&change.file).or_default().push(Placed { range, bug: number, change });
        }
    }
    for (file, placed) in &mut placed {
        placed.sort_by_key(|placed| placed.range.start);
        for pair in placed.windows(2) {
            if let [one, other] = pair
                && one.range.end > other.range.start
            {
                let names = [one, other].map(|placed| bugs.get(placed.bug).map_or("", |bug| &bug.name));
                return Err(io::Error::other(format!("{file}: {} and {} overlap", names[0], names[1])));
            }
        }
    }
    Ok(placed)
}
