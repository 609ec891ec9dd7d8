//! Whether the promise was kept: the gateway's audit, and a count of our own over the archive.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::Path;

use serde::Deserialize;

use super::lines::{self, Id};
use crate::compare::read_lines;
use crate::machine::Console;
use crate::shore::Shore;

/// The path under which the agent itself speaks.
const AGENT: &str = "driftlog:agent";
/// What the agent says when its spool lacks something that had been synced.
const FLASH_LOST: &str = "flash lost";
/// Violations of a kind that are shown.
const SHOWN_MAX: usize = 5;

/// What the device said before its power was cut, each time.
#[derive(Debug, Default)]
pub(super) struct Said {
    durable: BTreeSet<Id>,
}

impl Said {
    /// Takes what stands on a console; how many durable lines are new.
    pub(super) fn hear(&mut self, console: &Console) -> usize {
        let before = self.durable.len();
        self.durable.extend(console.lines().iter().filter_map(|line| lines::durable(line)));
        self.durable.len() - before
    }
}

/// What was counted.
#[derive(Debug, Default)]
pub(super) struct Count {
    /// Lines that were said to be durable.
    pub(super) durable: u64,
    /// Different lines in the archive.
    pub(super) arrived: u64,
    /// Durable lines that are not in the archive.
    pub(super) lost: u64,
    /// Records that are declared gone.
    pub(super) declared: u64,
    /// Bytes of lines that are in the archive once more, or out of order.
    pub(super) repeated_bytes: u64,
    /// Bytes that may repeat, as the agent's notices say.
    pub(super) stated_bytes: u64,
    /// Durable lines that come after a later one, and are not repeated.
    pub(super) disordered: u64,
    /// What the agent said about files, by the beginning of the sentence's meaning.
    pub(super) notices: BTreeMap<&'static str, u64>,
}

/// The end of a machine's story.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) cuts: u64,
    /// What kind of machine it was.
    pub(super) kind: String,
    pub(super) count: Count,
    pub(super) violations: Vec<String>,
}

impl Verdict {
    /// Whether nothing is wrong.
    pub(super) fn is_kept(&self) -> bool {
        self.violations.is_empty()
    }

    /// Counts, and lays the counts beside the promise.
    pub(super) fn reach(
        shore: &Shore,
        said: &Said,
        cuts: u64,
        (kind, may_drop): (String, bool),
        folder: &Path,
    ) -> io::Result<Self> {
        let mut archive = Archive::new(&said.durable);
        read_lines(&shore.archive(), |line| archive.take(line))?;
        let (mut count, mut violations) = (archive.count, Vec::new());
        let lost: Vec<&Id> = said.durable.iter().filter(|id| !archive.seen.contains_key(id)).collect();
        count.durable = said.durable.len() as u64;
        count.lost = lost.len() as u64;
        count.arrived = archive.seen.len() as u64;
        let may_lose = if may_drop { count.declared } else { 0 };
        if count.lost > may_lose {
            let some: Vec<_> = lost.iter().take(SHOWN_MAX).collect();
            violations
                .push(format!("{} durable lines are lost, {may_lose} declared: {some:?} …", count.lost));
        }
        if !may_drop && count.declared > 0 {
            violations
                .push(format!("{} records are declared gone, and nothing may be dropped", count.declared));
        }
        if count.repeated_bytes > count.stated_bytes {
            let (repeated, stated) = (count.repeated_bytes, count.stated_bytes);
            violations.push(format!("{repeated} bytes came again or late, and notices state {stated}"));
        }
        if let Some(times) = count.notices.get(FLASH_LOST) {
            violations.push(format!(
                "{times} times the agent says that its flash lost something, which it never does"
            ));
        }
        let audit = shore.audit(&[])?;
        if !audit.is_kept {
            violations.push(format!("the audit says that the promise is broken:\n{}", audit.report));
        }
        if !violations.is_empty() {
            violations.push(format!("its folder: {}", folder.display()));
        }
        Ok(Self { cuts, kind, count, violations })
    }
}

/// The archive, line by line.
struct Archive<'a> {
    durable: &'a BTreeSet<Id>,
    count: Count,
    /// How often each line is there.
    seen: HashMap<Id, u64>,
    /// The latest durable line of each lane.
    latest: BTreeMap<String, Id>,
}

impl<'a> Archive<'a> {
    fn new(durable: &'a BTreeSet<Id>) -> Self {
        Self { durable, count: Count::default(), seen: HashMap::new(), latest: BTreeMap::new() }
    }

    fn take(&mut self, line: &[u8]) -> io::Result<()> {
        let document: Document = serde_json::from_slice(line)?;
        match document.driftlog.kind.as_str() {
            "record" => self.record(&document),
            "gap" => self.count.declared += document.driftlog.gap.map_or(0, |gap| gap.records),
            _ => {}
        }
        Ok(())
    }

    fn record(&mut self, document: &Document) {
        let message = document.message.as_deref().unwrap_or_default();
        let path = document.log.as_ref().and_then(|log| log.file.as_ref()).map(|file| file.path.as_str());
        if path == Some(AGENT) {
            self.notice(message);
        } else if let Some(id) = lines::written(message) {
            self.line(id, message, &document.driftlog.lane);
        }
    }

    fn notice(&mut self, message: &str) {
        let kinds = [
            ("may repeat", "shorter"),
            ("did not come back", "gone"),
            ("holds other bytes", "other bytes"),
            ("was truncated", "truncated"),
            ("is a copy", "copy"),
            ("lost what was durable", FLASH_LOST),
            ("declared", "dropped"),
        ];
        let kind = kinds.iter().find(|(words, _)| message.contains(words)).map_or("other", |(_, kind)| kind);
        *self.count.notices.entry(kind).or_default() += 1;
        self.count.stated_bytes += lines::may_repeat(message).unwrap_or(0);
    }

    fn line(&mut self, id: Id, message: &str, lane: &str) {
        let times = self.seen.entry(id).or_default();
        *times += 1;
        if *times > 1 {
            // With its newline.
            self.count.repeated_bytes += message.len() as u64 + 1;
            return;
        }
        // Of what was not synced an older state may come back: ext4 can show bytes again that an append had
        // put behind what was the end of the file after a cut.
        if !self.durable.contains(&id) {
            return;
        }
        let latest = self.latest.entry(lane.to_owned()).or_insert(id);
        if id < *latest {
            // Read again after its first reading was dropped: it may come again, so it may come late.
            self.count.disordered += 1;
            self.count.repeated_bytes += message.len() as u64 + 1;
        }
        *latest = id.max(*latest);
    }
}

#[derive(Deserialize)]
struct Document {
    message: Option<String>,
    log: Option<Log>,
    driftlog: Own,
}

#[derive(Deserialize)]
struct Log {
    file: Option<File>,
}

#[derive(Deserialize)]
struct File {
    path: String,
}

#[derive(Deserialize)]
struct Own {
    kind: String,
    lane: String,
    gap: Option<Gap>,
}

#[derive(Deserialize)]
struct Gap {
    records: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(path: &str, message: &str) -> String {
        format!(
            r#"{{"message":"{message}","log":{{"file":{{"path":"{path}"}}}},"driftlog":{{"kind":"record","lane":"bulk"}}}}"#
        )
    }

    fn count<'a>(durable: &'a BTreeSet<Id>, lines: &[String]) -> Archive<'a> {
        let mut archive = Archive::new(durable);
        lines.iter().for_each(|line| archive.take(line.as_bytes()).unwrap());
        archive
    }

    #[test]
    fn a_line_that_comes_again_is_counted_with_its_bytes_and_what_comes_late_is_disorder() {
        let durable = BTreeSet::from([(1, 0), (1, 1), (1, 2)]);
        let lines =
            ["1 0 INFO a 0.", "1 2 INFO a 2.", "1 1 INFO a 1.", "1 2 INFO a 2.", "0 9 INFO a 9.", "1 3 IN"];
        let archive = count(&durable, &lines.map(|line| record("/l/a", line)));
        assert_eq!(archive.seen.len(), 4, "the torn one is none");
        assert_eq!((archive.count.repeated_bytes, archive.count.disordered), (28, 1));
    }

    #[test]
    fn what_the_agent_states_and_what_is_declared_is_added_up() {
        let gap = r#"{"message":"gone","driftlog":{"kind":"gap","lane":"bulk","gap":{"records":9}}}"#;
        let notice = record(AGENT, "from there: up to 260 bytes may repeat, and so on");
        let (none, lines) = (BTreeSet::new(), [notice.clone(), gap.to_owned(), notice]);
        let archive = count(&none, &lines);
        assert_eq!((archive.count.stated_bytes, archive.count.declared), (520, 9));
        assert_eq!(archive.count.notices, BTreeMap::from([("shorter", 2)]));
    }
}
