//! Sinks held against each other: whether each has of every lane what the others have.
//!
//! Where they end at the same number they must have the same. One that ends before another is behind, as the
//! slower of two sinks is while the gateway runs; one that begins later was added later.

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;

use super::{Report, Tally};

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Where two sinks have come as far and do not have the same.
    pub differences: Vec<String>,
    /// Where one has not come as far, or begins later.
    pub behind: Vec<String>,
    /// Lanes of which all have the same.
    pub equal_lanes: u64,
}

impl Comparison {
    /// Whether sinks contradict each other.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        !self.differences.is_empty()
    }

    /// Writes it as a person reads it.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn write_text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        for sentence in self.differences.iter().chain(&self.behind) {
            writeln!(out, "{sentence}")?;
        }
        let (equal, behind, different) = (self.equal_lanes, self.behind.len(), self.differences.len());
        writeln!(
            out,
            "of {equal} lanes all sinks have the same; {behind} times one is behind, {different} differ"
        )
    }

    /// Writes it as one object of JSON.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn write_json(&self, out: &mut dyn io::Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        writeln!(out)
    }
}

/// Holds what sinks have against each other, by their names and reports.
#[must_use]
pub fn compare(reports: &[(&str, Report)]) -> Comparison {
    let mut lanes: BTreeMap<(&str, &str), Vec<(&str, &Tally)>> = BTreeMap::new();
    for (name, report) in reports {
        for lane in &report.lanes {
            lanes.entry((&lane.device, lane.lane)).or_default().push((name, &lane.tally));
        }
    }
    let mut comparison = Comparison::default();
    for ((device, lane), tallies) in lanes {
        let before = comparison.differences.len() + comparison.behind.len();
        let Some(&(leader, most)) = tallies.iter().max_by_key(|(_, tally)| tally.last) else { continue };
        for (name, _) in reports {
            let tally = tallies.iter().find(|(other, _)| other == name).map(|(_, tally)| *tally);
            match tally {
                _ if *name == leader => {}
                Some(tally) if tally.last == most.last && tally.first == most.first => {
                    if held(tally) != held(most) {
                        comparison.differences.push(format!(
                            "{device} {lane}: {name} has {}, and {leader} {}",
                            sentence(tally),
                            sentence(most)
                        ));
                    }
                }
                Some(tally) => comparison.behind.push(format!(
                    "{device} {lane}: {name} has records {}, and {leader} {}",
                    span(tally),
                    span(most)
                )),
                None => comparison.behind.push(format!(
                    "{device} {lane}: {name} has nothing, and {leader} records {}",
                    span(most)
                )),
            }
        }
        let is_equal = before == comparison.differences.len() + comparison.behind.len();
        comparison.equal_lanes += u64::from(is_equal);
    }
    comparison
}

/// What must be the same: records that are there or declared gone, as some are to a sink of best effort alone. An
/// index may still have what was declared gone.
fn held(tally: &Tally) -> (u64, u64) {
    ((tally.records + tally.declared()).saturating_sub(tally.declared_but_present), tally.runs)
}

fn sentence(tally: &Tally) -> String {
    format!("{} records, {} declared gone, {} runs", tally.records, tally.declared(), tally.runs)
}

fn span(tally: &Tally) -> String {
    let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    format!("{} to {}", number(tally.first), number(tally.last))
}

#[cfg(test)]
mod tests {
    use super::super::{DeclaredGaps, LaneReport};
    use super::*;

    fn report(lanes: &[(&str, u64, u64, u64)]) -> Report {
        let lane = |&(device, first, last, records): &(&str, u64, u64, u64)| LaneReport {
            device: device.to_owned(),
            lane: "bulk",
            tally: Tally { first: Some(first), last: Some(last), records, runs: 1, ..Tally::default() },
        };
        Report { lanes: lanes.iter().map(lane).collect(), ..Report::default() }
    }

    #[test]
    fn sinks_that_have_the_same_are_equal_and_one_that_is_behind_is_no_contradiction() {
        let one = report(&[("a", 0, 9, 10), ("b", 0, 4, 5), ("c", 0, 7, 8), ("d", 0, 1, 2)]);
        let other = report(&[("a", 0, 9, 10), ("b", 0, 2, 3), ("c", 5, 7, 3)]);
        let found = compare(&[("kafka", one), ("search", other)]);
        assert!(!found.is_broken());
        assert_eq!(found.equal_lanes, 1);
        let expected = [
            "b bulk: search has records 0 to 2, and kafka 0 to 4",
            "c bulk: kafka has records 0 to 7, and search 5 to 7",
            "d bulk: search has nothing, and kafka records 0 to 1",
        ];
        assert_eq!(found.behind, expected);
    }

    #[test]
    fn of_two_that_have_come_as_far_one_that_lacks_something_is_a_contradiction() {
        let found = compare(&[("kafka", report(&[("a", 0, 9, 10)])), ("search", report(&[("a", 0, 9, 9)]))]);
        assert!(found.is_broken());
        let expected = "a bulk: kafka has 10 records, 0 declared gone, 1 runs, and search 9 records, 0 declared gone, 1 runs";
        assert_eq!(found.differences, [expected]);
        let mut text = Vec::new();
        found.write_text(&mut text).unwrap();
        assert!(String::from_utf8(text).unwrap().ends_with("1 differ\n"));
    }

    #[test]
    fn what_is_declared_gone_to_one_alone_or_still_there_in_an_index_is_no_difference() {
        let (mut one, other) = (report(&[("a", 0, 9, 12)]), report(&[("a", 0, 9, 10)]));
        one.lanes[0].tally.declared_but_present = 2;
        assert_eq!(compare(&[("search", one), ("kafka", other)]).equal_lanes, 1);
        let (mut one, other) = (report(&[("a", 0, 9, 6)]), report(&[("a", 0, 9, 10)]));
        one.lanes[0].tally.gaps = vec![DeclaredGaps { cause: "missed", gaps: 1, records: 4 }];
        assert_eq!(compare(&[("search", one), ("kafka", other)]).equal_lanes, 1);
    }
}
