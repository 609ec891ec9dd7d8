//! A part of the bugs, drawn by the commit: each commit tries others, and the same one the same.

use std::io;
use std::path::Path;
use std::process::Command;

use crate::sim::world::random::Random;

/// What the commit's name draws with.
///
/// # Errors
/// When git does not know a commit.
pub(super) fn commit(root: &Path) -> io::Result<u64> {
    let output = Command::new("git").current_dir(root).args(["rev-parse", "HEAD"]).output()?;
    let name = String::from_utf8_lossy(&output.stdout)
        .trim()
        .get(..16)
        .and_then(|name| u64::from_str_radix(name, 16).ok());
    name.ok_or_else(|| {
        io::Error::other("git does not say which commit this is\nhint: `--only` chooses bugs by name")
    })
}

/// Leaves so many, in their order.
pub(super) fn draw<T>(all: &mut Vec<T>, count: usize, seed: u64) {
    let mut random = Random::new(seed);
    while all.len() > count {
        all.remove(random.below(all.len() as u64) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_drawn_in_their_order_the_same_for_a_commit_and_others_for_another() {
        let drawn = |seed| {
            let mut all: Vec<u32> = (0..100).collect();
            draw(&mut all, 10, seed);
            all
        };
        assert_eq!((drawn(1).len(), drawn(1)), (10, drawn(1)));
        assert!(drawn(1).is_sorted());
        assert_ne!(drawn(1), drawn(2));
        let mut few = vec![1, 2];
        draw(&mut few, 10, 1);
        assert_eq!(few, [1, 2]);
    }
}
