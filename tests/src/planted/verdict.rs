//! Which check caught a bug, read from what it said.

use std::fmt;
use std::process::ExitStatus;

/// Letters of a sentence that are kept.
const SENTENCE_MAX: usize = 72;

/// What caught a bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The check.
    pub(super) check: &'static str,
    /// The test that failed, where it is one of several.
    pub(super) test: Option<String>,
    /// What it said first.
    pub(super) sentence: String,
    /// How many seeds it took.
    pub(super) seeds: Option<u64>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.check)?;
        match (&self.test, self.seeds) {
            (_, Some(seeds)) => write!(f, "{} (seed {seeds})", self.sentence),
            (Some(test), None) => write!(f, "`{test}`: {}", self.sentence),
            (None, None) => f.write_str(&self.sentence),
        }
    }
}

/// Reads what a check said that failed. `from` is its first seed, if it takes seeds; no `status`
/// says that it ran out of time.
pub(super) fn read(
    check: &'static str,
    said: &str,
    status: Option<ExitStatus>,
    from: Option<u64>,
) -> Verdict {
    let failed = said.lines().find_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
    let test = failed.map(|path| path.rsplit("::").next().unwrap_or(path).to_owned());
    let sentence = match status {
        None => "it does not come to an end".to_owned(),
        Some(status) => panic_of(said).unwrap_or_else(|| status.to_string()),
    };
    let seeds = from.map(|from| seed_of(said).map_or(from, |seed| seed + 1));
    Verdict { check, test, sentence, seeds }
}

/// The sentence that a simulated world broke, or the first thing that a panic said.
fn panic_of(said: &str) -> Option<String> {
    let broken = said.lines().find_map(|line| Some(line.strip_prefix("seed ")?.split_once(" FAILED: ")?.1));
    let sentence = match broken {
        Some(broken) => broken,
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

    #[test]
    fn the_first_panic_and_the_lowest_seed_are_read() {
        let said = "running 1 test\ntest mixed::whatever ... FAILED\n\nthread 'x' panicked at a.rs:1:2:\n\
                    R4: a run\nmore\nseed 17 failed; more\n";
        let verdict = read("pair", said, Some(ExitStatus::default()), Some(10));
        let expected = Verdict {
            check: "pair",
            test: Some("whatever".to_owned()),
            sentence: "R4: a run".to_owned(),
            seeds: Some(18),
        };
        assert_eq!(verdict, expected);
        assert_eq!(verdict.to_string(), "pair: R4: a run (seed 18)");
    }

    #[test]
    fn the_sentence_that_a_world_broke_is_read() {
        let said = "2 seeds: 2 worlds\nseed 5 FAILED: no identity twice: pump-1\n  noticed at 3 s\n";
        let verdict = read("sim", said, Some(ExitStatus::default()), Some(0));
        assert_eq!((verdict.sentence.as_str(), verdict.seeds), ("no identity twice: pump-1", Some(6)));
    }

    #[test]
    fn what_runs_out_of_time_is_caught_too() {
        let verdict = read("pair", "seed 3 failed; more", None, Some(0));
        assert_eq!((verdict.sentence.as_str(), verdict.seeds), ("it does not come to an end", Some(4)));
        assert_eq!(read("wire", "", None, None).seeds, None);
    }
}
