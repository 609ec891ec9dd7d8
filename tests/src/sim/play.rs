//! Playing a plan: the world is made, everything in it happens, and the oracle judges.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};

use super::oracle::Sentence;
use super::oracle::judge::Tallied;
use super::plan::fault::Fault;
use super::plan::{Act, DevicePlan, Plan, What};
use super::strike::strike;
use super::world::broker::{MS, SECOND};
use super::world::machine::MachineConfig;
use super::world::random::Random;
use super::world::{NOON, World};

/// What a world came to.
#[derive(Clone, Debug)]
pub(crate) struct Played {
    pub(crate) steps: u64,
    /// Simulated seconds, over all devices.
    pub(crate) device_seconds: u64,
    pub(crate) struck: BTreeSet<Fault>,
    /// A hash over everything that was sent and when.
    pub(crate) trace: u64,
    pub(crate) events: Vec<String>,
    pub(crate) tallied: Tallied,
    pub(crate) notices: u64,
    pub(crate) asked: u64,
    pub(crate) gaps: u64,
    pub(crate) failure: Option<Failure>,
}

/// A sentence that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The sentence; none: the code under test stopped by itself.
    pub(crate) sentence: Option<Sentence>,
    pub(crate) text: String,
    /// Where it was noticed.
    pub(crate) at: String,
}

impl Failure {
    /// What two failures have in common that are the same.
    pub(crate) fn kind(&self) -> &str {
        match self.sentence {
            Some(sentence) => sentence.text(),
            None => &self.at,
        }
    }
}

thread_local! {
    static PANIC: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
}

/// Panics are findings here: they are kept and not printed.
pub(crate) fn keep_panics() {
    std::panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        let text = info.payload_as_str().unwrap_or("a panic without words").to_owned();
        let at = info.location().map(ToString::to_string).unwrap_or_default();
        PANIC.with(|panic| *panic.borrow_mut() = Some((text, at)));
    }));
}

/// Plays a plan to its end, or to the first sentence that does not hold.
pub(crate) fn play(plan: &Plan) -> Played {
    let mut world = begin(plan);
    let mut struck = BTreeSet::new();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        for act in &plan.acts {
            happen(&mut world, act, &mut struck);
        }
        world.run_ms(500);
        world.settle();
        world.judge()
    }));
    let failure = outcome.is_err().then(|| {
        let (text, at) = PANIC.with(|panic| panic.borrow_mut().take()).unwrap_or_default();
        Failure { sentence: Sentence::of(&text), text, at }
    });
    Played {
        steps: world.steps,
        device_seconds: ((world.now - NOON) / SECOND) as u64 * world.machines.len() as u64,
        struck,
        trace: world.broker.trace ^ world.watch.records.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        notices: world.watch.notices,
        asked: world.shore.asked(),
        gaps: world.watch.gaps,
        events: std::mem::take(&mut world.events),
        tallied: outcome.unwrap_or_default(),
        failure,
    }
}

fn begin(plan: &Plan) -> World {
    let mut world = World::with_shore(plan.seed, plan.shore.clone());
    for (at, device) in plan.devices.iter().enumerate() {
        let mut config = config(at, device);
        if plan.seed.is_multiple_of(3) {
            // Lines that say much the same, so that blocks refer to others.
            config.style.bytes_max = 24;
        }
        let at = world.add(config);
        world.machines[at].files.keep_births(device.keeps_births);
    }
    world
}

fn config(at: usize, plan: &DevicePlan) -> MachineConfig {
    let mut config = MachineConfig::new(&format!("device-{at}"));
    config.apps = plan.apps;
    config.style.errors_per_mille = plan.errors_per_mille;
    config.style.long_per_mille = plan.long_per_mille;
    config.ppm = plan.ppm;
    config.wall_offset = plan.wall_offset;
    config.urgent_min = plan.urgent_min;
    config.has_fixed_client_id = plan.has_fixed_client_id;
    for lane in [&mut config.bulk, &mut config.urgent] {
        lane.overflow = plan.overflow;
        lane.durability = plan.durability;
        lane.bytes_max = plan.spool_bytes_max;
    }
    config
}

fn happen(world: &mut World, act: &Act, struck: &mut BTreeSet<Fault>) {
    world.run_until(world.now + act.after_ms as i64 * MS);
    match act.what {
        What::Lines { device, lines } => {
            world.note(|| format!("device-{device} writes {lines} lines"));
            world.write(device, lines);
        }
        What::Fault { device, fault } => {
            world.note(|| match fault.is_of_device() {
                true => format!("device-{device}: {}", fault.name()),
                false => fault.name().to_owned(),
            });
            struck.insert(fault);
            strike(world, fault, device, &mut Random::new(act.chance));
        }
        #[cfg(test)]
        What::Claim { device } => world.machines[device].apps[0].claim(b"a line\n"),
    }
}
