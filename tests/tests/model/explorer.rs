//! Breadth first through everything that can happen, so that the first violation has the shortest trace.
//!
//! An explorer of our own and not the `stateright` crate: that one brings some forty crates, a web server
//! among them, of which none can be left out; and its check of "in the end" overlooks cycles, where
//! ours of I5 runs a fair schedule from the states themselves.

use std::collections::HashSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::actions::Action;
use crate::bounds::Bounds;
use crate::properties::{self, Violation};
use crate::quiet;
use crate::state::World;

/// A world that has outgrown what one machine explores is a mistake in the bounds.
const STATES_MAX: usize = 20_000_000;

/// What was explored.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Explored {
    pub states: usize,
    pub transitions: usize,
    pub depth: usize,
    /// States from which the quiet phase was run.
    pub quiet: usize,
}

/// A violation and how to get there.
#[derive(Debug)]
pub(crate) struct Failure {
    pub violation: Violation,
    pub trace: Vec<String>,
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { states, transitions, depth, quiet } = self;
        write!(f, "{states} states, {transitions} transitions, depth {depth}, {quiet} quiet phases")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} does not hold: {}", self.violation.name, self.violation.what)?;
        let steps = self.trace.iter().enumerate();
        steps.into_iter().try_for_each(|(at, step)| writeln!(f, "{:4} {step}", at + 1))
    }
}

/// How a state was first reached: from which, by which of its actions.
struct Origin {
    parent: usize,
    action: usize,
}

/// Explores every state within the bounds.
pub(crate) fn explore(bounds: &Bounds) -> Result<Explored, Failure> {
    let first = World::new(bounds);
    let mut explored = Explored { states: 1, ..Explored::default() };
    let mut seen = HashSet::from([fingerprint(&first)]);
    let mut origins = vec![Origin { parent: 0, action: 0 }];
    let mut layer = vec![(0, first)];
    while !layer.is_empty() {
        let mut next = Vec::new();
        for (id, world) in &layer {
            for (action, chosen) in world.actions(bounds).iter().enumerate() {
                let Some(after) = world.after(chosen, bounds) else { continue };
                explored.transitions += 1;
                let mark = fingerprint(&after);
                if !seen.insert(mark) {
                    continue;
                }
                origins.push(Origin { parent: *id, action });
                let judged = properties::check(&after, bounds).and_then(|()| {
                    if !mark.is_multiple_of(bounds.quiet_every) {
                        return Ok(());
                    }
                    explored.quiet += 1;
                    quiet::drains(&after, false, bounds)?;
                    quiet::drains(&after, true, bounds)
                });
                let at = origins.len() - 1;
                judged.map_err(|violation| Failure { violation, trace: trace(&origins, at, bounds) })?;
                next.push((at, after));
            }
        }
        explored.states += next.len();
        explored.depth += usize::from(!next.is_empty());
        assert!(explored.states < STATES_MAX, "{} states at depth {}", explored.states, explored.depth);
        layer = next;
    }
    Ok(explored)
}

/// The same in every run: the hasher's keys are fixed.
fn fingerprint(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

/// The actions that lead to a state, from the beginning.
fn trace(origins: &[Origin], mut at: usize, bounds: &Bounds) -> Vec<String> {
    let mut chosen = Vec::new();
    while at != 0 {
        chosen.push(origins[at].action);
        at = origins[at].parent;
    }
    let mut world = World::new(bounds);
    let mut steps = Vec::new();
    for action in chosen.into_iter().rev() {
        let action: Action = world.actions(bounds).swap_remove(action);
        steps.push(format!("{action:?}"));
        world = world.after(&action, bounds).unwrap_or(world);
    }
    steps
}
