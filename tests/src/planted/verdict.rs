//! Which check caught a bug, read from what it said.

use std::fmt;

/// Letters of a sentence that are kept.
const SENTENCE_MAX: usize = 90;

/// What caught a bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The check.
    pub(super) check: &'static str,
    /// The sentence that does not hold, or the test that failed.
    pub(super) what: String,
    /// How many seeds it took, where the check takes seeds.
    pub(super) seeds: Option<u64>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check, self.what)?;
        match self.seeds {
            Some(1) => f.write_str(" (1 seed)"),
            Some(seeds) => write!(f, " ({seeds} seeds)"),
            None => Ok(()),
        }
    }
}

/// Reads what a check said that failed. `from` is its first seed, if it takes seeds; otherwise the
/// test is what caught the bug.
pub(super) fn read(check: &'static str, said: &str, has_ended: bool, from: Option<u64>) -> Verdict {
    let test = failed_test(said).filter(|_| from.is_none()).map(str::to_owned);
    let what = match test {
        Some(test) => test,
        None if !has_ended => "it does not come to an end".to_owned(),
        None => sentence(said).unwrap_or_else(|| "it ends abruptly".to_owned()),
    };
    let seeds = from.map(|from| seed_of(said).map_or(from, |seed| seed + 1));
    Verdict { check, what, seeds }
}

/// The first test of a suite that failed.
pub(super) fn failed_test(said: &str) -> Option<&str> {
    let path = said.lines().find_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"))?;
    path.rsplit("::").next()
}

/// The sentence that a simulated world broke, or the first thing that a panic said.
fn sentence(said: &str) -> Option<String> {
    let broken = said.lines().find_map(|line| Some(line.strip_prefix("seed ")?.split_once(" FAILED: ")?.1));
    let sentence = match broken {
        // Where it is broken stands behind it, and differs from seed to seed.
        Some(broken) => broken.split_once(": ").map_or(broken, |(sentence, _)| sentence),
        None => {
            let (_, rest) = said.split_once("panicked at ")?;
            rest.lines().skip(1).map(str::trim).find(|line| !line.is_empty())?
        }
    };
    // What two values are compared for stands behind the colon, if it is said.
    let sentence = sentence.strip_prefix("assertion `left == right` failed: ").unwrap_or(sentence);
    Some(match sentence.char_indices().nth(SENTENCE_MAX) {
        Some((end, _)) => format!("{}…", &sentence[..end]),
        None => sentence.to_owned(),
    })
}

/// The lowest seed that a check says has failed.
fn seed_of(said: &str) -> Option<u64> {
    let (_, rest) = said.split_once("seed ")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caught(check: &'static str, what: &str, seeds: Option<u64>) -> Verdict {
        Verdict { check, what: what.to_owned(), seeds }
    }

    #[test]
    fn the_first_panic_and_the_first_seed_are_read() {
        let said = "test mixed ... FAILED\n\nthread 'x' panicked at a.rs:1:2:\nassertion `left == right` failed: \
                    R4: a run\nmore\nseed 17 failed; more\n";
        let verdict = read("pair", said, true, Some(10));
        assert_eq!(verdict, caught("pair", "R4: a run", Some(18)));
        assert_eq!(verdict.to_string(), "pair: R4: a run (18 seeds)");
    }

    #[test]
    fn the_sentence_that_a_world_broke_is_read() {
        let said = "2 seeds: 2 worlds\nseed 5 FAILED: no identity twice: pump-1\n  noticed at 3 s\n";
        assert_eq!(read("sim", said, true, Some(0)), caught("sim", "no identity twice", Some(6)));
    }

    #[test]
    fn of_a_suite_it_is_the_first_test_that_failed() {
        let said = "test a::one ... ok\ntest a::it_holds ... FAILED\ntest b ... FAILED\n";
        assert_eq!(read("wire", said, true, None), caught("wire", "it_holds", None));
        assert_eq!(failed_test("test a ... ok\n"), None);
    }

    #[test]
    fn what_runs_out_of_time_or_dies_is_caught_too() {
        assert_eq!(read("pair", "", false, Some(3)), caught("pair", "it does not come to an end", Some(3)));
        assert_eq!(read("wire", "", true, None), caught("wire", "it ends abruptly", None));
    }
}
