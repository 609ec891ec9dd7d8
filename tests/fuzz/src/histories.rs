//! The judge of what stands in an archive: histories, read back from its lines.

use std::collections::BTreeMap;

use driftlog_gateway::sink::Notice;
use driftlog_gateway::sink::archive::simulated::SimDirectory;
use driftlog_gateway::sink::ecs::document::{Fact, Outline};
use driftlog_proto::ids::{DeviceId, Lane, RunId, Seq};

/// How far each run of each lane came.
pub type Ends = BTreeMap<(DeviceId, Lane), BTreeMap<RunId, Seq>>;

/// Every document of an archive whose files are plain, in order.
///
/// # Panics
/// When a line is no document.
#[must_use]
pub fn documents(archive: &SimDirectory) -> Vec<Outline> {
    let names = archive.names().into_iter().filter(|name| name.ends_with(".ndjson"));
    let bytes: Vec<u8> = names.flat_map(|name| archive.bytes(&name).unwrap_or_default()).collect();
    assert!(bytes.is_empty() || bytes.ends_with(b"\n"), "an unfinished line");
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| Outline::parse(line).expect("each line is a document")).collect()
}

/// Asserts that no identity stands twice, that each run's records, gaps and dead letters follow one
/// another without a hole, and that a run begins after what its parent has. A lane in which a
/// finished run was forgotten is left out from there on, as it says itself.
///
/// # Panics
/// When one of these is not so.
#[must_use]
pub fn judge(documents: &[Outline]) -> Ends {
    let mut ends = Ends::new();
    let mut may_repeat = Vec::new();
    for document in documents {
        let lane = (document.device.clone(), document.lane);
        if may_repeat.contains(&lane) {
            continue;
        }
        let runs = ends.entry(lane.clone()).or_default();
        let at = runs.get(&document.run).copied();
        let end = match document.fact {
            Fact::Start { parent } => {
                assert!(at.is_none(), "a start twice: {document:?}");
                let parent_at = runs.get(&parent.run).copied();
                assert!(parent_at.is_none_or(|at| at >= parent.seq), "before its parent's end: {document:?}");
                document.seq
            }
            Fact::Record => Seq(document.seq.0 + 1),
            Fact::Gap { to, .. } | Fact::DeadLetter { to } => to,
            Fact::Notice(Notice::MayRepeat) => {
                may_repeat.push(lane);
                continue;
            }
            Fact::Notice(Notice::LedgerLost) => at.unwrap_or(document.seq),
            Fact::Notice(_) => continue,
        };
        let begins = matches!(document.fact, Fact::Start { .. } | Fact::Notice(_));
        assert!(begins || at == Some(document.seq), "{document:?} does not follow {at:?}");
        runs.insert(document.run, end);
    }
    ends
}
