//! Whether the promise was kept in a round: two independent counts against what was planned.

use std::fs;
use std::io;
use std::path::Path;

use super::fault::Fault;
use super::plan::{DevicePlan, Plan};
use super::world::World;
use crate::compare::{Comparison, DeviceComparison};
use crate::count::Count;
use crate::shore::LaneAudit;

/// Whatever is dropped is a whole segment of the spool, with more records than this in it.
const RECORDS_PER_DROP: u64 = 1_000;
/// Notices that only lying flash or a cloned spool may cause, and chaos has neither.
const WITHOUT_CAUSE: [&str; 3] = ["fork", "clone", "run_twice"];

/// What was counted, and every sentence that is broken.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// Of all devices; lost is what no declaration covers, declared what is declared and gone.
    pub(super) count: DeviceComparison,
    pub(super) violations: Vec<String>,
}

impl Verdict {
    /// Counts everything, after all was stopped.
    pub(super) fn reach(world: &World, plan: &Plan, folder: &Path) -> io::Result<Self> {
        let devices: Vec<_> = world.units.iter().map(|unit| (&unit.device, &unit.journal)).collect();
        let Count { audit, comparison } = Count::take(&world.shore, &devices, &folder.join("spools"))?;
        let lanes = world.shore.audit_lanes()?;
        let mut count = DeviceComparison { lost: 0, declared: 0, ..comparison.total() };
        let mut violations = Vec::new();
        if !audit.is_kept {
            violations.push(format!("the audit says that the promise is broken:\n{}", audit.report));
        }
        for unit in &world.units {
            let name = unit.device.name();
            let Some(found) = comparison.devices.get(name) else { continue };
            let words = Words {
                present: present(&lanes, name),
                own: own_words(&fs::read_to_string(unit.device.log()).unwrap_or_default(), found.lost),
            };
            violations.extend(judge_device(name, &unit.plan, found, words));
            count.declared += words.gone(found);
            count.lost += found.lost.saturating_sub(words.gone(found));
        }
        violations.extend(comparison.strange.iter().cloned());
        violations.extend(judge_times(plan, &comparison));
        violations.extend(judge_notices(&lanes));
        Ok(Self { count, violations })
    }
}

/// What stands between the records that are declared gone and the lines that are lost.
#[derive(Clone, Copy, Debug, Default)]
struct Words {
    /// Records that are there although they were declared gone: allowed.
    present: u64,
    /// The agent's own notices are records too, and may be among those dropped: at most so many.
    own: u64,
}

impl Words {
    /// Records that are declared gone and are not there.
    fn gone(self, found: &DeviceComparison) -> u64 {
        found.declared.saturating_sub(self.present)
    }
}

fn judge_device(name: &str, plan: &DevicePlan, found: &DeviceComparison, words: Words) -> Vec<String> {
    let mut violations = Vec::new();
    let DeviceComparison { lines_in, lines_out, lost, doubled, disordered, changed, declared, .. } = *found;
    if doubled + disordered + changed > 0 {
        violations.push(format!("{name}: {doubled} doubled, {disordered} out of order, {changed} changed"));
    }
    if lines_out + lost != lines_in {
        violations.push(format!("{name}: {lines_in} lines in, but {lines_out} out and {lost} lost"));
    }
    let gone = words.gone(found);
    if !plan.may_drop() {
        if lost + declared > 0 {
            violations
                .push(format!("{name}: {lost} lines lost, {declared} declared, and nothing may be dropped"));
        }
    } else if gone < lost || gone > lost + words.own {
        let own = words.own;
        violations.push(format!(
            "{name}: {lost} lines lost, but {gone} records declared and gone ({own} may be the agent's own words)"
        ));
    }
    if !violations.is_empty() {
        violations.extend(found.findings.iter().map(|finding| format!("{name}: {finding}")));
    }
    violations
}

/// Corrected times are as good as the gateway's clock: they are judged where that was let alone.
fn judge_times(plan: &Plan, comparison: &Comparison) -> Option<String> {
    let time = comparison.total().time;
    let is_judged = !plan.faults.contains(&Fault::GatewayClock);
    let findings = || {
        let all = comparison.devices.values().flat_map(|device| &device.findings);
        all.cloned().collect::<Vec<_>>().join("\n")
    };
    (is_judged && !comparison.is_in_time())
        .then(|| format!("{} times are too early, {} too late:\n{}", time.early, time.late, findings()))
}

fn judge_notices(lanes: &[LaneAudit]) -> Vec<String> {
    let notices = lanes.iter().flat_map(|lane| lane.notices.iter().map(|notice| (&lane.device, notice)));
    let without_cause = notices.filter(|(_, (name, _))| WITHOUT_CAUSE.contains(&name.as_str()));
    without_cause
        .map(|(device, (name, count))| format!("{device}: {count} notices {name} without cause"))
        .collect()
}

fn present(lanes: &[LaneAudit], name: &str) -> u64 {
    lanes.iter().filter(|lane| lane.device == name).map(|lane| lane.declared_but_present).sum()
}

/// Whatever becomes a notice among the records was said in the log first, as a warning; of those that
/// repeat the log may leave some out. There is one for each drop.
fn own_words(log: &str, lost: u64) -> u64 {
    let warnings = log.lines().filter(|line| line.contains("WARN "));
    let left_out = |line: &str| {
        let count = line.rsplit_once(" (and ")?.1.strip_suffix(" more of this kind)")?;
        count.parse::<u64>().ok()
    };
    warnings.map(|line| 1 + left_out(line).unwrap_or(0)).sum::<u64>() + lost / RECORDS_PER_DROP
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::Kind;

    fn dropping(may_drop: bool) -> DevicePlan {
        let mut device = Plan::draw(1, &[Kind::Embedded], None).devices.remove(0);
        device.is_overflowing = may_drop;
        device.overflow = "drop-oldest";
        device.has_small_disk = false;
        device
    }

    fn found(lines_in: u64, lines_out: u64, lost: u64, declared: u64) -> DeviceComparison {
        DeviceComparison { lines_in, lines_out, lost, declared, ..DeviceComparison::default() }
    }

    fn is_good(may_drop: bool, found: &DeviceComparison, words: Words) -> bool {
        judge_device("pump-1", &dropping(may_drop), found, words).is_empty()
    }

    #[test]
    fn where_nothing_may_be_dropped_each_line_must_be_there_once() {
        let none = Words::default();
        assert!(is_good(false, &found(10, 10, 0, 0), none));
        assert!(!is_good(false, &found(10, 9, 1, 0), none));
        assert!(!is_good(false, &found(10, 9, 1, 1), none), "declared, but nothing may be dropped");
        assert!(!is_good(false, &found(10, 11, 0, 0), none));
        assert!(!is_good(false, &DeviceComparison { doubled: 1, ..found(10, 10, 0, 0) }, none));
        assert!(!is_good(false, &DeviceComparison { disordered: 1, ..found(10, 10, 0, 0) }, none));
    }

    #[test]
    fn what_is_dropped_must_be_declared_to_the_line() {
        let words = Words { present: 2, own: 3 };
        assert!(is_good(true, &found(10, 6, 4, 6), words));
        assert!(is_good(true, &found(10, 6, 4, 9), words), "three are the agent's own words");
        assert!(
            !is_good(true, &found(10, 6, 4, 5), words),
            "one is declared that is there: one is not declared"
        );
        assert!(!is_good(true, &found(10, 6, 4, 10), words));
        assert!(!is_good(true, &found(10, 5, 4, 6), words), "lines in are not lines out and lost");
    }

    #[test]
    fn a_fork_or_a_clone_in_a_world_without_either_is_a_violation() {
        let lane = |name: &str| LaneAudit { notices: vec![(name.to_owned(), 2)], ..LaneAudit::default() };
        assert!(judge_notices(&[lane("may_repeat")]).is_empty());
        assert_eq!(judge_notices(&[lane("fork"), lane("run_twice")]).len(), 2);
    }

    #[test]
    fn warnings_count_as_the_agents_own_words_also_those_that_the_log_left_out() {
        let log = "2026-11-25T22:40:14Z INFO  started\n2026-11-25T22:40:15Z WARN  lane bulk: dropped\n\
            2026-11-25T22:40:16Z WARN  lane bulk: dropped (and 6 more of this kind)\n";
        assert_eq!(own_words(log, 0), 8);
        assert_eq!(own_words("", 2_500), 2, "each drop is a notice, said or not");
    }
}
