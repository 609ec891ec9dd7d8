//! Making a failure short: whatever can be left out so that the same sentence still fails is left
//! out.

use std::collections::BTreeSet;

use super::plan::fault::Fault;
use super::plan::{Act, Plan, What};
use super::play::{Failure, Played, play};

/// Worlds that are tried at most.
const TRIES_MAX: u32 = 400;

/// A plan that fails as `failure` did and has as little as was found.
pub(crate) fn shrink(plan: &Plan, failure: &Failure) -> (Plan, Played) {
    let mut search =
        Search { best: plan.clone(), played: play(plan), kind: failure.kind().to_owned(), left: TRIES_MAX };
    search.without_faults();
    let mut size = search.best.acts.len().div_ceil(2);
    while size > 0 && search.left > 0 {
        let before = search.best.acts.len();
        search.without_pieces(size);
        // Single acts are tried again until none can go.
        if size > 1 || search.best.acts.len() == before {
            size /= 2;
        }
    }
    search.with_less();
    (search.best, search.played)
}

struct Search {
    best: Plan,
    played: Played,
    kind: String,
    left: u32,
}

impl Search {
    /// Keeps a plan when it fails in the same way.
    fn try_plan(&mut self, plan: Plan) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        let played = play(&plan);
        let is_same = played.failure.as_ref().is_some_and(|failure| failure.kind() == self.kind);
        if is_same {
            (self.best, self.played) = (plan, played);
        }
        is_same
    }

    fn without_faults(&mut self) {
        let faults: BTreeSet<Fault> = self.best.acts.iter().filter_map(Act::fault).collect();
        for fault in faults {
            let mut plan = self.best.clone();
            plan.acts = joined(&plan.acts, |_, act| act.fault() != Some(fault));
            self.try_plan(plan);
        }
    }

    fn without_pieces(&mut self, size: usize) {
        let mut from = 0;
        while from < self.best.acts.len() {
            let mut plan = self.best.clone();
            plan.acts = joined(&plan.acts, |at, _| !(from..from + size).contains(&at));
            if !self.try_plan(plan) {
                from += size;
            }
        }
    }

    /// Fewer lines, shorter pauses.
    fn with_less(&mut self) {
        for at in 0..self.best.acts.len() {
            let mut plan = self.best.clone();
            let act = &mut plan.acts[at];
            act.after_ms = act.after_ms.min(10);
            self.try_plan(plan);
            let mut plan = self.best.clone();
            if let What::Lines { lines, .. } = &mut plan.acts[at].what {
                *lines = (*lines).min(2);
                self.try_plan(plan);
            }
        }
    }
}

/// The acts that are kept, each as long after the start as it was.
fn joined(acts: &[Act], keeps: impl Fn(usize, &Act) -> bool) -> Vec<Act> {
    let mut kept = Vec::new();
    let mut waited = 0;
    for (at, act) in acts.iter().enumerate() {
        waited += act.after_ms;
        if keeps(at, act) {
            kept.push(Act { after_ms: waited, ..*act });
            waited = 0;
        }
    }
    kept
}
