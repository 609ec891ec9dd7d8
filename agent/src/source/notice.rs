//! What the sources have to say beside the lines: one sentence for a person, one kind for a machine.

use std::collections::VecDeque;

/// Notices that wait to be taken.
const NOTICES_MAX: usize = 64;

/// What a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceNoticeKind {
    /// A file was truncated or overwritten in place.
    Truncated,
    /// After a power cut a file holds less, or other bytes, than what was read from it.
    Shorter,
    /// A file that a cursor names did not come back.
    Gone,
    /// A copy of a known file was found and is not read twice.
    Copy,
    /// More files match than can be followed.
    TooManyFiles,
    /// A line was longer than the limit and was cut.
    LineCut,
    /// Something could not be read.
    Unreadable,
    /// A cursor in the spool is of a version that this build does not know.
    CursorUnknown,
    /// Notices were not taken in time.
    NoticesDropped,
}

impl SourceNoticeKind {
    /// The kind as a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Truncated => "source-truncated",
            Self::Shorter => "source-shorter",
            Self::Gone => "source-gone",
            Self::Copy => "source-copy",
            Self::TooManyFiles => "too-many-files",
            Self::LineCut => "line-cut",
            Self::Unreadable => "source-unreadable",
            Self::CursorUnknown => "cursor-unknown",
            Self::NoticesDropped => "notices-dropped",
        }
    }
}

/// Something that a person should know about a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceNotice {
    /// What it is about.
    pub kind: SourceNoticeKind,
    /// One sentence, with path and numbers.
    pub text: String,
}

/// Notices in order, bounded; what does not fit is counted.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    waiting: VecDeque<SourceNotice>,
    dropped: u64,
}

impl Notices {
    pub(crate) fn say(&mut self, kind: SourceNoticeKind, text: String) {
        if self.waiting.len() < NOTICES_MAX {
            self.waiting.push_back(SourceNotice { kind, text });
        } else {
            self.dropped += 1;
        }
    }

    /// Takes the newest notice back if it is of this kind.
    pub(crate) fn take_back(&mut self, kind: SourceNoticeKind) {
        if self.waiting.back().is_some_and(|notice| notice.kind == kind) {
            self.waiting.pop_back();
        }
    }

    pub(crate) fn poll(&mut self) -> Option<SourceNotice> {
        self.waiting.pop_front().or_else(|| {
            let dropped = std::mem::take(&mut self.dropped);
            (dropped > 0).then(|| SourceNotice {
                kind: SourceNoticeKind::NoticesDropped,
                text: format!("{dropped} notices about sources came too fast and were dropped"),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_that_do_not_fit_are_counted() {
        let mut notices = Notices::default();
        for n in 0..NOTICES_MAX + 3 {
            notices.say(SourceNoticeKind::LineCut, n.to_string());
        }
        let all: Vec<_> = std::iter::from_fn(|| notices.poll()).collect();
        assert_eq!(all.len(), NOTICES_MAX + 1);
        assert_eq!(all[NOTICES_MAX].kind, SourceNoticeKind::NoticesDropped);
        assert!(all[NOTICES_MAX].text.starts_with("3 notices"));
    }
}
