//! The invariants, by their names in `docs/guarantees.md`. I5 is in the quiet phase; I7 (Elasticsearch's
//! index ranges) is not built, and not modelled.

use crate::bounds::Bounds;
use crate::gateway::Notice;
use crate::sinks::{Entry, Held};
use crate::state::{Place, Run, Seq, World, letter};

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub name: &'static str,
    pub what: String,
}

fn violated<T>(name: &'static str, what: String) -> Result<T, Violation> {
    Err(Violation { name, what })
}

/// I1 to I4, I6 and I8.
pub(crate) fn check(world: &World, bounds: &Bounds) -> Result<(), Violation> {
    for (sink, entries) in world.sinks.iter().enumerate() {
        for at in 0..entries.len() {
            no_identity_twice(sink, &entries[..=at])?;
            in_order(world, sink, &entries[..=at])?;
        }
        notices_are_true(world, sink, bounds)?;
        forks_are_stated(world, sink)?;
    }
    for device in &world.devices {
        for sink in bounds.required() {
            if let Some(missing) = missing(world, sink, device.base) {
                return violated("I3", format!("{:?} is freed and sink {sink} lacks {missing}", device.base));
            }
        }
    }
    ledger_is_a_tree(world)
}

/// I1: the last entry is not there already, unless it was said that it may come again.
fn no_identity_twice(sink: usize, entries: &[Entry]) -> Result<(), Violation> {
    let Some((last, before)) = entries.split_last() else { return Ok(()) };
    let is_twice = before.iter().any(|entry| is_same(entry.held, last.held));
    if is_twice && !is_announced_repeat(before, last.held) {
        return violated("I1", format!("sink {sink} holds {:?} twice", last.held));
    }
    Ok(())
}

fn is_same(one: Held, other: Held) -> bool {
    match (one, other) {
        (Held::Start { begin: one, .. }, Held::Start { begin: other, .. }) => one.run == other.run,
        (Held::Record { end: one }, Held::Record { end: other }) => {
            (one.run, one.seq) == (other.run, other.seq)
        }
        (Held::Gap { from, to }, Held::Gap { from: other, to: until }) => {
            (to.run, from) == (until.run, other)
        }
        _ => false,
    }
}

/// Whether each earlier copy may come again: since it came, a ledger was lost, or its run forgotten
/// and `may_repeat` stated.
fn is_announced_repeat(before: &[Entry], held: Held) -> bool {
    let mut copies = before.iter().enumerate().filter(|(_, entry)| is_same(entry.held, held)).peekable();
    copies.peek().is_some()
        && copies.all(|(at, entry)| entry.may_repeat || before[at..].iter().any(says_may_repeat))
}

fn says_may_repeat(entry: &Entry) -> bool {
    matches!(entry.held, Held::TakenUp { notice: Notice::MayRepeat, .. })
}

/// Whether a gap declares only what is there: a device freed it, and the ledger was lost.
fn is_idle_gap(before: &[Entry], held: Held) -> bool {
    let Held::Gap { from, to } = held else { return false };
    let holds = |seq: Seq| {
        before.iter().any(
            |entry| matches!(entry.held, Held::Record { end } if (end.run, end.seq) == (to.run, seq + 1)),
        )
    };
    (from..to.seq).all(holds)
}

/// I2: nothing before the last entry comes after it in the log.
fn in_order(world: &World, sink: usize, entries: &[Entry]) -> Result<(), Violation> {
    let Some((last, before)) = entries.split_last() else { return Ok(()) };
    // What comes again, or is declared though it is there, comes when it comes.
    let is_again = is_announced_repeat(before, last.held) || is_idle_gap(before, last.held);
    if is_again || matches!(last.held, Held::Notice { .. } | Held::TakenUp { .. }) {
        return Ok(());
    }
    let (run, from, _) = last.held.span();
    let is_start = matches!(last.held, Held::Start { .. });
    for entry in before.iter().filter(|entry| !entry.may_repeat) {
        if matches!(entry.held, Held::Notice { .. } | Held::TakenUp { .. }) {
            continue;
        }
        let (of, _, reached) = entry.held.span();
        let end = Place { run: of, seq: reached, chain: 0 };
        let is_after = world.lineage(end).iter().any(|&(ancestor, _, left)| {
            // Within one run the end of what is there counts, in an ancestor the number where it was left.
            ancestor == run && (from < left || is_start && ancestor != of)
        });
        if is_after {
            return violated("I2", format!("sink {sink} takes {:?} after {:?}", last.held, entry.held));
        }
    }
    Ok(())
}

/// I8, the first half: no fork without a flash that lied or a clone, no clone notice without a clone,
/// and no run is taken up at its base without a loss that explains it.
fn notices_are_true(world: &World, sink: usize, bounds: &Bounds) -> Result<(), Violation> {
    let (was, left) = (&bounds.budget, &world.left);
    let is_cloned = left.clones < was.clones;
    let is_divided = is_cloned || left.lies < was.lies;
    for entry in &world.sinks[sink] {
        let (Held::Notice { run, notice } | Held::TakenUp { at: Place { run, .. }, notice }) = entry.held
        else {
            continue;
        };
        let is_true = match notice {
            Notice::Fork => is_divided,
            Notice::Clone => is_cloned,
            Notice::LedgerLost => left.losses < was.losses,
            Notice::MayRepeat => is_divided || left.wipes < was.wipes,
        };
        if !is_true {
            return violated("I8", format!("sink {sink}: {notice:?} of run {} is not true", letter(run)));
        }
    }
    Ok(())
}

/// I8, the second half: where a sink holds both branches of a fork, it holds the notice.
fn forks_are_stated(world: &World, sink: usize) -> Result<(), Violation> {
    let entries = &world.sinks[sink];
    let is_stated = |of: Run| {
        entries
            .iter()
            .any(|entry| matches!(entry.held, Held::Notice { run, notice: Notice::Fork } if run == of))
    };
    // A branch that was forgotten is no longer seen; what comes back then has this notice instead.
    let was_forgotten = |since: usize| entries[since..].iter().any(says_may_repeat);
    for (at, entry) in entries.iter().enumerate() {
        let Held::Start { parent, begin } = entry.held else { continue };
        if parent.run == 0 || is_stated(parent.run) {
            continue;
        }
        let other = entries.iter().enumerate().find(|(other, entry)| match entry.held {
            Held::Start { parent: of, begin: sibling } => {
                of.run == parent.run && *other != at && sibling.run != begin.run
            }
            Held::Record { end } | Held::Gap { to: end, .. } => end.run == parent.run && end.seq > parent.seq,
            _ => false,
        });
        if let Some((since, other)) = other
            && !was_forgotten(since.min(at))
        {
            let (held, other) = (entry.held, other.held);
            return violated(
                "I8",
                format!("sink {sink} holds {held:?} and {other:?} and no notice of a fork"),
            );
        }
    }
    Ok(())
}

/// The first thing before `place` that a sink neither holds nor has declared.
pub(crate) fn missing(world: &World, sink: usize, place: Place) -> Option<String> {
    let entries = &world.sinks[sink];
    for (run, from, to) in world.lineage(place) {
        let has_start = entries.iter().any(|entry| match entry.held {
            Held::Start { begin, .. } => begin.run == run,
            Held::TakenUp { at, .. } => at.run == run,
            _ => false,
        });
        if !has_start {
            return Some(format!("the start of run {}", letter(run)));
        }
        let has = |seq: Seq| {
            entries.iter().any(|entry| {
                let (of, first, end) = entry.held.span();
                of == run && first <= seq && seq < end
            })
        };
        if let Some(seq) = (from..to).find(|seq| !has(*seq)) {
            return Some(format!("record {seq} of run {}", letter(run)));
        }
    }
    None
}

/// I4 and I6.
fn ledger_is_a_tree(world: &World) -> Result<(), Violation> {
    for record in &world.ledger.runs {
        let parent = world.ledger.runs.iter().find(|parent| parent.run == record.parent.run);
        let Some(parent) = parent else {
            // Only a lane that has forgotten runs may lack one that it knew.
            if record.parent.run != 0 && !world.ledger.has_forgotten {
                return violated("I4", format!("run {} has no parent", letter(record.run)));
            }
            continue;
        };
        for (mine, theirs) in record.marks.iter().zip(&parent.marks) {
            if mine.is_some() && theirs.is_none_or(|mark| mark.seq < record.parent.seq) {
                return violated("I6", format!("run {} is marked before its parent", letter(record.run)));
            }
        }
    }
    Ok(())
}
