//! Where a sink's obligation begins.
//!
//! A sink that is new in the configuration owes what comes after, not what the others have: its
//! marks begin at theirs, in one commit, before anything is received. A sink that is no longer in
//! the configuration holds nothing back; when it returns it is new.

use std::collections::BTreeSet;

use driftlog_proto::ids::Place;

use super::SinkRole;
use crate::ledger::record::{LaneRecord, Mark, RunRecord};
use crate::ledger::{Ledger, LedgerError, Pair, Write};

/// The key of the names of the sinks that have obligations, one a line.
pub const SINKS_KEY: &[u8] = b"gateway/sinks";

/// What must be written before a region with these sinks may begin.
pub(super) fn begin<L: Ledger>(ledger: &L, sinks: &[SinkRole]) -> Result<Vec<Write>, LedgerError> {
    let lanes = ledger.scan(b"lane/")?;
    let known = match ledger.get(SINKS_KEY)? {
        Some(names) => String::from_utf8_lossy(&names).lines().map(str::to_owned).collect(),
        // Nothing was ever received, or the ledger is of a gateway that did not write this key.
        None if lanes.is_empty() => sinks.iter().map(|sink| sink.name.clone()).collect(),
        None => named(&lanes)?,
    };
    let names: Vec<&str> = sinks.iter().map(|sink| sink.name.as_str()).collect();
    let mut writes = vec![Write { key: SINKS_KEY.to_vec(), value: Some(names.join("\n").into_bytes()) }];
    let added: Vec<&str> = names.into_iter().filter(|name| !known.contains(*name)).collect();
    if added.is_empty() {
        return Ok(writes);
    }
    let before: Vec<&str> = sinks
        .iter()
        .filter(|sink| sink.is_required && known.contains(&sink.name))
        .map(|sink| sink.name.as_str())
        .collect();
    for (key, value) in lanes {
        let mut record = decoded(&key, &value)?;
        record.runs.iter_mut().for_each(|run| join(run, &added, &before));
        writes.push(Write { key, value: Some(record.encode()) });
    }
    log::info!("the sinks {added:?} are new: they take what comes from now on");
    Ok(writes)
}

fn decoded(key: &[u8], value: &[u8]) -> Result<LaneRecord, LedgerError> {
    LaneRecord::decode(value).ok_or_else(|| LedgerError {
        operation: "read a lane in",
        reason: format!("{} is damaged or of another version", String::from_utf8_lossy(key)),
    })
}

/// The sinks that have a mark.
fn named(lanes: &[Pair]) -> Result<BTreeSet<String>, LedgerError> {
    let mut names = BTreeSet::new();
    for (key, value) in lanes {
        let record = decoded(key, value)?;
        names.extend(record.runs.into_iter().flat_map(|run| run.marks).map(|mark| mark.sink));
    }
    Ok(names)
}

/// The added sinks stand where all that were required before have come to.
fn join(run: &mut RunRecord, added: &[&str], before: &[&str]) {
    run.marks.retain(|mark| !added.contains(&mark.sink.as_str()));
    let marks: Vec<&Mark> = run.marks.iter().filter(|mark| before.contains(&mark.sink.as_str())).collect();
    let Some(lowest) = marks.iter().min_by_key(|mark| mark.place.seq) else { return };
    if marks.len() < before.len() {
        return;
    }
    let (place, notices): (Place, u8) = (lowest.place, lowest.notices);
    run.marks.extend(added.iter().map(|name| Mark { sink: (*name).to_owned(), place, notices }));
}

#[cfg(test)]
mod tests {
    use driftlog_proto::ids::{AckNumber, Chain, RunId, Seq};

    use super::super::Keeping;
    use super::*;
    use crate::ledger::memory::MemoryLedger;

    fn place(seq: u64) -> Place {
        Place { run: RunId(7), seq: Seq(seq), chain: Chain(seq) }
    }

    fn mark(sink: &str, seq: u64) -> Mark {
        Mark { sink: sink.to_owned(), place: place(seq), notices: seq as u8 }
    }

    fn roles(names: &[&str]) -> Vec<SinkRole> {
        let role = |name: &&str| SinkRole {
            name: (*name).to_owned(),
            is_required: true,
            keeping: Keeping::Behind { is_indexed: false },
        };
        names.iter().map(role).collect()
    }

    fn ledger(marks: Vec<Mark>, sinks: &str) -> MemoryLedger {
        let heard = AckNumber::default();
        let run = RunRecord {
            run: RunId(7),
            parent: Place::ORIGIN,
            begin: place(0),
            first_heard: heard,
            last_echo: heard,
            marks,
        };
        let record = LaneRecord { runs: vec![run], has_forgotten: false };
        let mut ledger = MemoryLedger::default();
        let lane = Write { key: b"lane/a/bulk".to_vec(), value: Some(record.encode()) };
        let sinks = Write { key: SINKS_KEY.to_vec(), value: Some(sinks.into()) };
        ledger.commit(&[lane, sinks]).unwrap();
        ledger
    }

    fn marks(ledger: &mut MemoryLedger, sinks: &[&str]) -> Vec<Mark> {
        let writes = begin(ledger, &roles(sinks)).unwrap();
        ledger.commit(&writes).unwrap();
        let value = ledger.get(b"lane/a/bulk").unwrap().unwrap();
        LaneRecord::decode(&value).unwrap().runs.remove(0).marks
    }

    #[test]
    fn an_added_sink_begins_at_the_lowest_required_mark() {
        let mut ledger = ledger(vec![mark("a", 9), mark("b", 5)], "a\nb");
        assert_eq!(marks(&mut ledger, &["a", "b", "c"]), [mark("a", 9), mark("b", 5), mark("c", 5)]);
    }

    #[test]
    fn a_sink_that_was_there_and_has_no_mark_yet_owes_the_run_from_its_beginning() {
        let mut ledger = ledger(vec![mark("a", 9)], "a\nb");
        assert_eq!(marks(&mut ledger, &["a", "b"]), [mark("a", 9)]);
        assert_eq!(marks(&mut ledger, &["a", "b", "c"]), [mark("a", 9)], "what b owes, c owes");
    }

    #[test]
    fn a_sink_that_returns_is_new() {
        let mut ledger = ledger(vec![mark("a", 9), mark("b", 5)], "a\nb");
        assert_eq!(marks(&mut ledger, &["a"]), [mark("a", 9), mark("b", 5)]);
        assert_eq!(marks(&mut ledger, &["a", "b"]), [mark("a", 9), mark("b", 9)]);
    }

    #[test]
    fn in_a_ledger_without_their_names_the_sinks_are_those_with_marks() {
        let mut ledger = ledger(vec![mark("a", 9)], "a");
        ledger.commit(&[Write { key: SINKS_KEY.to_vec(), value: None }]).unwrap();
        assert_eq!(marks(&mut ledger, &["a", "c"]), [mark("a", 9), mark("c", 9)]);
    }
}
