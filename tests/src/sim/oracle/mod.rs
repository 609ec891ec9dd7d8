//! What judges a world. It knows only what the world knows: the lines that were written, what each
//! sink holds, what was acknowledged and declared, and the true time. It shares no decision with
//! the code that it judges.

pub(crate) mod compare;
pub(crate) mod documents;
pub(crate) mod judge;
pub(crate) mod watch;

/// What must hold; a failure names one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sentence {
    Once,
    InOrder,
    Whole,
    Declared,
    NothingInvented,
    AcknowledgedIsDurable,
    FreedIsAcknowledged,
    ParentFirst,
    ForkStated,
    ForkOnlyWhereForgotten,
    CloneOnlyWhereCloned,
    NoticeOnlyWithCause,
    TimeWithinBound,
    Memory,
    Credit,
    Sleeps,
    Drains,
    Counters,
    SinksAgree,
    Opens,
    Deterministic,
}

impl Sentence {
    /// Every sentence, in the order in which `docs/testing.md` lists them.
    pub(crate) const ALL: [Self; 21] = [
        Self::Once,
        Self::InOrder,
        Self::Whole,
        Self::Declared,
        Self::NothingInvented,
        Self::AcknowledgedIsDurable,
        Self::FreedIsAcknowledged,
        Self::ParentFirst,
        Self::ForkStated,
        Self::ForkOnlyWhereForgotten,
        Self::CloneOnlyWhereCloned,
        Self::NoticeOnlyWithCause,
        Self::TimeWithinBound,
        Self::Memory,
        Self::Credit,
        Self::Sleeps,
        Self::Drains,
        Self::Counters,
        Self::SinksAgree,
        Self::Opens,
        Self::Deterministic,
    ];

    /// The sentence.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Once => "no sink holds an identity twice",
            Self::InOrder => "a lane's records stand in a sink in the order in which they were written",
            Self::Whole => "a sink takes a run's items without a hole that is not declared",
            Self::Declared => "a line that does not arrive is declared gone",
            Self::NothingInvented => "nothing arrives that was not written",
            Self::AcknowledgedIsDurable => "what is acknowledged is durable in every required sink",
            Self::FreedIsAcknowledged => "a device frees only what was acknowledged",
            Self::ParentFirst => "a sink takes a run only after what came before it",
            Self::ForkStated => "a history that divides is stated",
            Self::ForkOnlyWhereForgotten => "no fork is stated unless flash forgot or was copied",
            Self::CloneOnlyWhereCloned => "no clone is stated unless a spool was copied",
            Self::NoticeOnlyWithCause => "no other notice is stated without its cause",
            Self::TimeWithinBound => "a corrected time lies within its bound of the true time",
            Self::Memory => "a gateway's items in memory stay within the budget",
            Self::Credit => "no lane is granted more than its share",
            Self::Sleeps => "who has nothing to do sleeps",
            Self::Drains => "once faults stop, everything sealed comes through",
            Self::Counters => "the counters of device, gateway and sinks agree",
            Self::SinksAgree => "all sinks hold the same records",
            Self::Opens => "a spool and an archive open, whatever happened to them",
            Self::Deterministic => "the same seed gives the same trace",
        }
    }

    /// The sentence with which a failure's text begins; none: the code under test stopped by itself.
    pub(crate) fn of(failure: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sentence| failure.starts_with(sentence.text()))
    }
}

/// Stops the world: a sentence does not hold.
#[track_caller]
#[cold]
pub(crate) fn violated(sentence: Sentence, detail: &str) -> ! {
    panic!("{}: {detail}", sentence.text())
}
