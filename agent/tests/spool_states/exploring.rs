//! From workloads to states: everything that is tried of one spool, and how much it was.

use std::collections::HashSet;
use std::fmt;
use std::io::Write;
use std::sync::Mutex;

use driftlog_agent::spool::SpoolConfig;

use crate::choices::Bounds;
use crate::cutting::{Recording, explained};
use crate::device::{Device, Step};
use crate::history::History;
use crate::image::{Content, Image};
use crate::recording::Operation;

/// What a program does after a power cut; it is judged at each step. This much is cut again,
const RECOVERY: [Step; 5] =
    [Step::Start, Step::Publish, Step::StartAgain, Step::Append(3, 150), Step::Publish];
/// and this shows that all goes on as if nothing had been.
const AFTER: [Step; 7] = [
    Step::Append(1, 90),
    Step::StartAgain,
    Step::Publish,
    Step::AcknowledgeAll,
    Step::Append(2, 100),
    Step::StartAgain,
    Step::Publish,
];
/// What it does after a second power cut.
const AFTER_SECOND: [Step; 5] =
    [Step::Start, Step::Publish, Step::Append(2, 130), Step::StartAgain, Step::Publish];
/// What it does after it was killed, until the power fails.
const AFTER_KILL: [Step; 4] = [Step::Restart, Step::Publish, Step::Append(2, 140), Step::Publish];

/// What is tried in every run.
const USUAL: Bounds = Bounds { combinations: 300, subset_of: 8, pairs: 300, torn_bytes: 256, second_in: 120 };
/// What is tried with `DRIFTLOG_STATES=all`.
const ALL: Bounds =
    Bounds { combinations: 20_000, subset_of: 12, pairs: 20_000, torn_bytes: 16, second_in: 1 };

/// What all tests tried so far, of first and of second cuts.
static TOTAL: Mutex<(Counts, Counts)> = Mutex::new((Counts::ZERO, Counts::ZERO));

/// Explores a workload and says how much was tried.
pub(crate) fn explore(name: &str, explore: impl FnOnce(&mut Explorer)) {
    let is_all = std::env::var("DRIFTLOG_STATES").is_ok_and(|states| states == "all");
    let mut explorer = Explorer::new(if is_all { ALL } else { USUAL });
    explore(&mut explorer);
    let mut total = TOTAL.lock().expect("nothing panics while it counts");
    total.0.add(&explorer.first);
    total.1.add(&explorer.second);
    // Past the test harness, which shows what a test prints only when it fails.
    let mut out = std::io::stdout().lock();
    let told = writeln!(
        out,
        "{name}: {}\n  cut:       {}\n  cut again: {}\nso far\n  cut:       {}\n  cut again: {}",
        explorer.bounds, explorer.first, explorer.second, total.0, total.1
    );
    told.expect("standard output takes lines");
}

/// What was tried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    pub(crate) recordings: u64,
    pub(crate) operations: u64,
    pub(crate) crash_points: u64,
    /// Crash points at which every combination was tried.
    pub(crate) complete: u64,
    /// States that were built, and those of them that differ, or stand under other promises.
    pub(crate) built: u64,
    pub(crate) distinct: u64,
}

impl Counts {
    const ZERO: Self =
        Self { recordings: 0, operations: 0, crash_points: 0, complete: 0, built: 0, distinct: 0 };

    pub(crate) fn add(&mut self, other: &Self) {
        self.recordings += other.recordings;
        self.operations += other.operations;
        self.crash_points += other.crash_points;
        self.complete += other.complete;
        self.built += other.built;
        self.distinct += other.distinct;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { recordings, operations, crash_points, complete, built, distinct } = self;
        write!(
            f,
            "{recordings} recordings of {operations} operations, {crash_points} crash points ({complete} in \
             every way), {built} states, {distinct} distinct"
        )
    }
}

/// What is known of a device while a power cut interrupts it.
pub(crate) trait Known {
    /// What is known when the step that leads from `before` to `self` is cut.
    fn cut(&self, before: &Self) -> Self;

    /// One number for all of it.
    fn fingerprint(&self) -> u64;
}

/// A power cut, or one during what follows a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    First,
    Second,
}

/// Tries what may become of a flash, and counts.
pub(crate) struct Explorer {
    bounds: Bounds,
    pub(crate) first: Counts,
    pub(crate) second: Counts,
    seen: HashSet<(u64, u64)>,
}

impl Explorer {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, first: Counts::ZERO, second: Counts::ZERO, seen: HashSet::new() }
    }

    /// Cuts the power everywhere in this workload.
    pub(crate) fn cut(&mut self, config: SpoolConfig, steps: &[Step]) {
        let device = worked(config, steps);
        self.cut_first(config, &device.recording(Image::default(), 0));
    }

    /// Kills the program after each operation of this workload, and in the middle of each write, and
    /// cuts the power everywhere in what it does when it has started again.
    pub(crate) fn kill_and_cut(&mut self, config: SpoolConfig, steps: &[Step]) {
        let whole = worked(config, steps).recording(Image::default(), 0);
        for operations in 1..whole.operations.len() {
            let is_write = matches!(whole.operations.get(operations - 1), Some(Operation::Write { .. }));
            for within in [false, true].into_iter().take(1 + usize::from(is_write)) {
                let mut device = Device::new(&Image::default(), History::default(), config);
                device.tape.borrow_mut().end_after(operations, within);
                device.run(steps);
                let (before, after) = whole.around(operations - 1);
                device.revive(after.cut(before));
                let act = || {
                    device.run(&AFTER_KILL);
                    self.cut_first(config, &device.recording(Image::default(), operations));
                };
                explained(|| format!("the program was killed after operation {operations}"), act);
            }
        }
    }

    fn cut_first(&mut self, config: SpoolConfig, recording: &Recording<History>) {
        self.cut_each(Cut::First, recording, |explorer, image, history| {
            let mut device = Device::new(image, history, config);
            device.run(&RECOVERY);
            if explorer.is_cut_again(image, 1) {
                let recording = device.recording(image.clone(), 0);
                explorer.cut_each(Cut::Second, &recording, |_, image, history| {
                    Device::new(image, history, config).run(&AFTER_SECOND);
                });
            }
            device.run(&AFTER);
        });
    }

    /// Whether what follows this state is cut too; where that takes `times` as long, more seldom, and more
    /// often where a segment was torn between the two copies of its header: what a second cut makes of that
    /// is seen in no other state.
    pub(crate) fn is_cut_again(&self, image: &Image, times: u64) -> bool {
        let is_torn = times == 1 && image.0.values().any(Content::is_torn_in_its_header);
        let one_in = if is_torn { self.bounds.second_in.div_ceil(12) } else { self.bounds.second_in * times };
        image.hash().is_multiple_of(one_in)
    }

    /// Calls `judge` with each state that a cut of this recording leaves and that was not seen before.
    pub(crate) fn cut_each<K: Known>(
        &mut self,
        cut: Cut,
        recording: &Recording<K>,
        mut judge: impl FnMut(&mut Self, &Image, K),
    ) {
        let bounds = self.bounds;
        let mut counts = Counts { recordings: 1, ..Counts::ZERO };
        counts.operations = (recording.operations.len() - recording.from) as u64;
        (counts.crash_points, counts.complete) = recording.cut_everywhere(&bounds, |image, at| {
            let (before, after) = recording.around(at);
            let known = after.cut(before);
            counts.built += 1;
            if self.seen.insert((image.hash(), known.fingerprint())) {
                counts.distinct += 1;
                judge(self, image, known);
            }
        });
        match cut {
            Cut::First => self.first.add(&counts),
            Cut::Second => self.second.add(&counts),
        }
    }
}

fn worked(config: SpoolConfig, steps: &[Step]) -> Device {
    let mut device = Device::new(&Image::default(), History::default(), config);
    device.run(steps);
    device
}
