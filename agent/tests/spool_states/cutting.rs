//! Cuts the power at each operation of a recording.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::choices::{Bounds, Choice};
use crate::flash::Flash;
use crate::image::Image;
use crate::recording::Operation;

/// What was done on a flash, and what was known of it meanwhile.
pub(crate) struct Recording<H> {
    /// What was on the flash before.
    pub(crate) image: Image,
    pub(crate) operations: Vec<Operation>,
    /// How many operations there were after each step, and what was known then; the first is the
    /// beginning.
    pub(crate) marks: Vec<(usize, H)>,
    /// The power is not cut before this operation.
    pub(crate) from: usize,
}

impl<H> Recording<H> {
    /// The step in which this operation is.
    fn step(&self, operation: usize) -> usize {
        self.marks.partition_point(|(operations, _)| *operations <= operation)
    }

    /// What was known before the step in which this operation is, and what after it. Behind the
    /// last operation both are the end.
    pub(crate) fn around(&self, operation: usize) -> (&H, &H) {
        let step = self.step(operation);
        let (_, before) = &self.marks[step.max(1) - 1];
        (before, self.marks.get(step).map_or(before, |(_, after)| after))
    }

    /// Whether a cut in this operation leaves the same states, under the same promises, as one in the
    /// operation before.
    fn is_same_as_before(&self, at: usize) -> bool {
        let is_sync = |at: usize| self.operations.get(at).is_some_and(Operation::is_sync);
        is_sync(at) && !is_sync(at - 1) && self.step(at) == self.step(at - 1)
    }

    /// Calls `judge` with every state in which a power cut may leave the flash, and with the number
    /// of the operation that it interrupts. Returns at how many points it was cut, and at how many of
    /// them in every way that there is.
    pub(crate) fn cut_everywhere(&self, bounds: &Bounds, mut judge: impl FnMut(&Image, usize)) -> (u64, u64) {
        let mut flash = Flash::new(&self.image, *bounds);
        let (mut points, mut complete, mut is_complete) = (0, 0, true);
        for at in 0..=self.operations.len() {
            let operation = self.operations.get(at);
            if let Some(operation) = operation {
                flash.begin(operation);
            }
            if at >= self.from {
                // A sync that has not returned leaves what there was when it was asked for.
                if at == self.from || !self.is_same_as_before(at) {
                    is_complete = flash.states(|image, choice| {
                        explained(|| describe(at, operation, choice), || judge(&image, at));
                    });
                }
                points += 1;
                complete += u64::from(is_complete);
            }
            if let Some(operation) = operation {
                flash.end(operation);
            }
        }
        (points, complete)
    }
}

fn describe(at: usize, operation: Option<&Operation>, choice: &Choice) -> String {
    let what = match operation {
        None => String::from("after the last operation"),
        Some(Operation::Write { file, at, bytes }) => {
            format!("write of {} bytes at {at} of file {file}", bytes.len())
        }
        Some(operation) => format!("{operation:?}"),
    };
    format!("the power is cut at operation {at} ({what}); of what was not sure got through: {choice:?}")
}

/// Does something; when it panics, says what it was about.
pub(crate) fn explained(what: impl FnOnce() -> String, act: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(act)) {
        eprintln!("{}", what());
        resume_unwind(panic);
    }
}
