//! How a lane stands in the ledger.

use driftlog_proto::ids::{AckNumber, DeviceId, Lane, Place, RunId};
use driftlog_proto::limits::{RUNS_MAX, SEQ_MAX};
use serde::{Deserialize, Serialize};

/// The version of [`LaneRecord`]'s encoding.
pub const RECORD_VERSION: u8 = 1;

/// A lane: its runs, parents before children.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneRecord {
    /// The runs, in the order of their admission.
    pub runs: Vec<RunRecord>,
    /// A finished run was forgotten, so that an old one may be taken up again.
    pub has_forgotten: bool,
}

/// A run: where it began and how far each sink has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The run.
    pub run: RunId,
    /// The place in its parent after which it begins; [`Place::ORIGIN`] for a root or where the
    /// parent is not known.
    pub parent: Place,
    /// The place after its start, or where it was taken up.
    pub begin: Place,
    /// The newest `Ack` when the run was first heard of.
    pub first_heard: AckNumber,
    /// The newest `Ack` that the run has echoed.
    pub last_echo: AckNumber,
    /// For each sink by name what it durably has of the run.
    pub marks: Vec<Mark>,
}

/// What one sink durably has of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The sink's name.
    pub sink: String,
    /// The place up to which it has the run's items.
    pub place: Place,
    /// Bits of the notices about the run that it has, by [`Notice::index`](driftlog_proto::receiver::Notice::index).
    pub notices: u8,
}

impl LaneRecord {
    /// The lane's key in the ledger.
    #[must_use]
    pub fn key(device: &DeviceId, lane: Lane) -> Vec<u8> {
        format!("lane/{device}/{}", lane.name()).into_bytes()
    }

    /// The bytes that stand in the ledger.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Encoding into a growing vector cannot fail: there is no limit to meet.
        postcard::to_extend(self, vec![RECORD_VERSION]).unwrap_or_default()
    }

    /// Reads what [`encode`](Self::encode) wrote; `None` when it is of another version or damaged.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (&version, rest) = bytes.split_first()?;
        if version != RECORD_VERSION {
            return None;
        }
        postcard::from_bytes(rest).ok().filter(Self::is_sound)
    }

    /// Takes over what the store of a sink says about that sink's marks: it is written with the sink's
    /// records, and this record some time after.
    pub fn take_marks(&mut self, own: Self, sink: &str) {
        self.has_forgotten |= own.has_forgotten;
        for run in own.runs {
            let Some(mark) = run.marks.iter().find(|mark| mark.sink == sink).cloned() else { continue };
            match self.runs.iter_mut().find(|known| known.run == run.run) {
                Some(known) => {
                    known.marks.retain(|mark| mark.sink != sink);
                    known.marks.push(mark);
                }
                // Its ancestors are here, or came before it.
                None => self.runs.push(RunRecord { marks: vec![mark], ..run }),
            }
        }
    }

    /// What every receiver leaves behind, and relies on when it goes on: each run once, at a begin of its own and behind
    /// its parent, marks of its own, in each sink only what begins after what the parent has there.
    fn is_sound(&self) -> bool {
        let is_sound = |(at, run): (usize, &RunRecord)| {
            let (before, rest) = self.runs.split_at(at);
            let parent = before.iter().find(|other| other.run == run.parent.run);
            let is_marked_soundly = |mark: &Mark| {
                let reaches = |parent: &RunRecord| {
                    let same = |other: &&Mark| other.sink == mark.sink;
                    parent.marks.iter().find(same).is_some_and(|other| other.place.seq >= run.parent.seq)
                };
                mark.place.run == run.run
                    && (run.begin.seq.0..=SEQ_MAX).contains(&mark.place.seq.0)
                    && parent.is_none_or(reaches)
            };
            run.run != RunId::ORIGIN
                && run.begin.run == run.run
                && before.iter().all(|other| other.run != run.run)
                && rest.iter().all(|other| other.run != run.parent.run)
                && run.marks.iter().all(is_marked_soundly)
        };
        self.runs.len() <= RUNS_MAX && self.runs.iter().enumerate().all(is_sound)
    }
}

#[cfg(test)]
mod tests {
    use driftlog_proto::ids::{Chain, Seq};

    use super::*;

    /// A run of ten records after `parent`, which the archive has.
    fn run(number: u64, parent: Place) -> RunRecord {
        let place = |seq: u64| Place { run: RunId(number), seq: Seq(seq), chain: Chain(number) };
        let mark = Mark { sink: "archive".to_owned(), place: place(parent.seq.0 + 10), notices: 0 };
        RunRecord {
            run: RunId(number),
            parent,
            begin: place(parent.seq.0),
            first_heard: AckNumber::default(),
            last_echo: AckNumber::default(),
            marks: vec![mark],
        }
    }

    fn two() -> LaneRecord {
        let first = run(1, Place::ORIGIN);
        let second = run(2, first.marks[0].place);
        LaneRecord { runs: vec![first, second], has_forgotten: false }
    }

    #[test]
    fn a_record_that_no_receiver_leaves_behind_is_damaged() {
        let comes_back = |record: &LaneRecord| LaneRecord::decode(&record.encode()).as_ref() == Some(record);
        assert!(comes_back(&two()));
        let wrongs: [fn(&mut LaneRecord); 8] = [
            |record| record.runs[0].begin = Place::ORIGIN,
            |record| record.runs.swap(0, 1),
            |record| record.runs[1].run = RunId(1),
            |record| record.runs[0].run = RunId::ORIGIN,
            |record| record.runs[0].marks[0].place.seq = Seq(9),
            |record| record.runs[1].marks[0].place.run = RunId(1),
            |record| record.runs[0].marks.clear(),
            |record| record.runs = (1..=RUNS_MAX as u64 + 1).map(|n| run(n, Place::ORIGIN)).collect(),
        ];
        for (at, wrong) in wrongs.into_iter().enumerate() {
            let mut record = two();
            wrong(&mut record);
            assert!(!comes_back(&record), "{at}: {record:?}");
        }
    }
}
