//! One round: faults for a while, then quiet until all is on shore, then everything is counted.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::fault::Fault;
use super::judge::Verdict;
use super::plan::Plan;
use super::world::World;
use crate::clock;
use crate::compare::DeviceComparison;
use crate::watch::{Drained, Said, Watch};

const TICK: Duration = Duration::from_millis(10);
/// Time for everything to come in once nothing is broken any more: a program that could not write
/// tries again after half a minute at the latest.
const QUIET_WAIT: Duration = Duration::from_secs(180);

/// How a round ended.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) plan: Plan,
    pub(super) took: Duration,
    /// How long the quiet phase took.
    pub(super) quiet: Duration,
    pub(super) count: DeviceComparison,
    pub(super) struck: BTreeMap<Fault, u64>,
    pub(super) skipped: BTreeMap<Fault, String>,
    /// How often a program ended by itself because its disk was full.
    pub(super) ends: u64,
    pub(super) violations: Vec<String>,
    /// Where everything lies, if it was left there.
    pub(super) folder: Option<PathBuf>,
}

/// Plays a round in a folder, which is removed after a good one unless it is to be kept.
pub(super) fn play(plan: Plan, folder: &Path, is_kept: bool) -> io::Result<Outcome> {
    fs::create_dir(folder)?;
    let began = clock::now();
    let mut outcome = Outcome {
        plan,
        took: Duration::ZERO,
        quiet: Duration::ZERO,
        count: DeviceComparison::default(),
        struck: BTreeMap::new(),
        skipped: BTreeMap::new(),
        ends: 0,
        violations: Vec::new(),
        folder: Some(folder.to_owned()),
    };
    match World::start(folder, &outcome.plan) {
        Ok(mut world) => {
            outcome.live(&mut world, folder);
            if is_kept || !outcome.is_good() {
                world.keep();
            }
        }
        Err(error) => outcome.violations.push(format!("the round could not begin: {error}")),
    }
    outcome.took = clock::now() - began;
    if !is_kept && outcome.is_good() {
        fs::remove_dir_all(folder)?;
        outcome.folder = None;
    }
    Ok(outcome)
}

impl Outcome {
    /// Whether the promise was kept.
    pub(super) fn is_good(&self) -> bool {
        self.violations.is_empty()
    }

    fn live(&mut self, world: &mut World, folder: &Path) {
        let lived = self.struggle(world).and_then(|()| self.rest(world)).and_then(|()| {
            world.stop()?;
            Verdict::reach(world, &self.plan, folder)
        });
        match lived {
            Ok(Verdict { count, violations }) => {
                self.count = count;
                self.violations.extend(violations);
            }
            Err(error) => self.violations.push(error.to_string()),
        }
        self.struck = std::mem::take(&mut world.struck);
        self.skipped = std::mem::take(&mut world.skipped);
        self.ends = world.ends();
    }

    /// Does what the plan says, when it says so.
    fn struggle(&mut self, world: &mut World) -> io::Result<()> {
        let began = clock::now();
        let mut steps = self.plan.steps.iter().peekable();
        while clock::now() < began + self.plan.time || steps.peek().is_some() {
            while let Some(step) = steps.next_if(|step| clock::now() >= began + step.at) {
                world.act(*step)?;
            }
            world.tend()?;
            std::thread::sleep(TICK);
        }
        world.units.iter_mut().try_for_each(|unit| unit.stop_writing())
    }

    /// Waits until every agent says that all is acknowledged.
    fn rest(&mut self, world: &mut World) -> io::Result<()> {
        world.wait_broker()?;
        let began = clock::now();
        let states = world.units.iter().map(|unit| unit.device.state()).collect();
        let watch = Watch::start(states, world.shore.page());
        let lines: Vec<u64> = world.units.iter().map(|unit| unit.journal.lines()).collect();
        let mut drained = Drained::default();
        while clock::now() < began + QUIET_WAIT {
            if let Some(since) = drained.hear(&watch.said(), &lines) {
                self.quiet = since - began;
                return Ok(());
            }
            world.tend()?;
            std::thread::sleep(TICK);
        }
        self.quiet = QUIET_WAIT;
        self.violations.push(format!("stuck: not all is on shore after {QUIET_WAIT:?} of quiet"));
        let said = watch.said();
        self.violations.extend(stuck(&said, &lines));
        // What can be counted is counted all the same.
        Ok(())
    }
}

/// How those stand that are not done.
fn stuck(said: &Said, lines: &[u64]) -> Vec<String> {
    let agents = said.agents.iter().zip(lines).enumerate();
    agents
        .map(|(number, (agent, lines))| match agent {
            Some(status) => {
                let core = &status.core;
                let unread = core.sources.iter().filter(|source| source.offset != source.length).count();
                let lanes: Vec<String> = core
                    .lanes
                    .iter()
                    .map(|lane| {
                        let error = lane.last_error.as_deref().unwrap_or("none");
                        let (name, open, waiting) = (&lane.lane, lane.open, lane.waiting);
                        format!(
                            "{name}: {open} open, {waiting} waiting, {} acknowledged, last error: {error}",
                            lane.acknowledged
                        )
                    })
                    .collect();
                format!(
                    "{}: {lines} lines written, connected {}, {unread} files not read to their end; {}",
                    core.device_id,
                    core.connected,
                    lanes.join("; ")
                )
            }
            None => format!("device {}: its agent does not answer", number + 1),
        })
        .collect()
}
