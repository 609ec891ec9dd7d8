//! Every field of a document, in the order of the table in `docs/archive-format.md`.

/// How a field's value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// An instant, RFC 3339 in UTC with nanoseconds.
    Time,
    /// An integer.
    Number,
    /// 16 lower-case hexadecimal digits (32 for a boot).
    Hex,
    /// Bytes in base64.
    Base64,
    /// `true`; where it is not, the field is missing.
    Flag,
    /// An object whose keys the operator chose, with text as values.
    Map,
}

impl Kind {
    /// The kind's name in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Time => "time",
            Self::Number => "number",
            Self::Hex => "hex",
            Self::Base64 => "base64",
            Self::Flag => "flag",
            Self::Map => "map",
        }
    }
}

/// Every field and its kind.
pub const FIELDS: [(&str, Kind); 43] = [
    ("@timestamp", Kind::Time),
    ("message", Kind::Text),
    ("event.sequence", Kind::Number),
    ("event.severity", Kind::Number),
    ("event.created", Kind::Time),
    ("event.ingested", Kind::Time),
    ("event.kind", Kind::Text),
    ("event.dataset", Kind::Text),
    ("log.level", Kind::Text),
    ("log.offset", Kind::Number),
    ("log.file.path", Kind::Text),
    ("host.id", Kind::Text),
    ("host.name", Kind::Text),
    ("labels", Kind::Map),
    ("ecs.version", Kind::Text),
    ("driftlog.kind", Kind::Text),
    ("driftlog.lane", Kind::Text),
    ("driftlog.run", Kind::Hex),
    ("driftlog.chain", Kind::Hex),
    ("driftlog.boot", Kind::Hex),
    ("driftlog.mono_ns", Kind::Number),
    ("driftlog.clock.bound_ns", Kind::Number),
    ("driftlog.clock.basis", Kind::Text),
    ("driftlog.file", Kind::Hex),
    ("driftlog.path", Kind::Base64),
    ("driftlog.part", Kind::Text),
    ("driftlog.ending", Kind::Text),
    ("driftlog.cut", Kind::Flag),
    ("driftlog.format", Kind::Text),
    ("driftlog.body", Kind::Base64),
    ("driftlog.parent.run", Kind::Hex),
    ("driftlog.parent.seq", Kind::Number),
    ("driftlog.parent.chain", Kind::Hex),
    ("driftlog.gap.from", Kind::Number),
    ("driftlog.gap.to", Kind::Number),
    ("driftlog.gap.records", Kind::Number),
    ("driftlog.gap.cause", Kind::Text),
    ("driftlog.notice", Kind::Text),
    ("driftlog.deadletter.from", Kind::Number),
    ("driftlog.deadletter.to", Kind::Number),
    ("driftlog.deadletter.records", Kind::Number),
    ("driftlog.deadletter.reason", Kind::Text),
    ("driftlog.deadletter.item", Kind::Base64),
];
