//! Reading documents back: just what an audit, a rebuild or a person needs of a line.

use std::borrow::Cow;

use driftlog_proto::ids::{Chain, DeviceId, Lane, Place, RunId, Seq};
use driftlog_proto::item::Cause;
use serde::Deserialize;

use super::json::base64_decode;
use crate::sink::Notice;

/// Where a document stands in its device's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// The device.
    pub device: DeviceId,
    /// The lane.
    pub lane: Lane,
    /// The run.
    pub run: RunId,
    /// `event.sequence`.
    pub seq: Seq,
    /// The chain after it: with every document but a record that is not the last of its block.
    pub chain: Option<Chain>,
    /// What it says.
    pub fact: Fact,
}

/// What a document says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// One record.
    Record,
    /// A run begins.
    Start {
        /// After this place.
        parent: Place,
    },
    /// Records are gone: from the sequence up to, not including, `to`.
    Gap {
        /// The number after the last that is gone.
        to: Seq,
        /// Why.
        cause: Cause,
    },
    /// The gateway states something about the device.
    Notice(Notice),
    /// A block that could not be unpacked: from the sequence up to, not including, `to`.
    DeadLetter {
        /// The number after its last record.
        to: Seq,
    },
}

impl Outline {
    /// Reads a line.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(line: &[u8]) -> Result<Self, String> {
        let raw: RawOutline<'_> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        let own = &raw.driftlog;
        let chain = own.chain.as_deref().map(|text| hex(text).map(Chain)).transpose()?;
        let fact = own.fact()?;
        Ok(Self {
            device: DeviceId::new(&raw.host.id).map_err(|error| error.to_string())?,
            lane: Lane::from_name(&own.lane).ok_or_else(|| format!("there is no lane {}", own.lane))?,
            run: RunId(hex(&own.run)?),
            seq: Seq(raw.event.sequence),
            chain,
            fact,
        })
    }

    /// The place after it, where the document says it.
    #[must_use]
    pub fn end(&self) -> Option<Place> {
        let seq = match self.fact {
            Fact::Record => Seq(self.seq.0 + 1),
            Fact::Start { .. } | Fact::Notice(_) => self.seq,
            Fact::Gap { to, .. } | Fact::DeadLetter { to } => to,
        };
        self.chain.map(|chain| Place { run: self.run, seq, chain })
    }
}

/// A document as a person wants it.
#[derive(Debug, Deserialize)]
pub struct Document<'a> {
    /// The corrected time.
    #[serde(borrow, rename = "@timestamp")]
    pub timestamp: Cow<'a, str>,
    /// The body, or what happened in words.
    #[serde(borrow)]
    pub message: Cow<'a, str>,
    /// Where it comes from.
    #[serde(borrow, default)]
    pub log: Log<'a>,
    /// Whose it is.
    #[serde(borrow)]
    pub host: Host<'a>,
    /// What is ours.
    #[serde(borrow)]
    pub driftlog: Own<'a>,
}

impl Document<'_> {
    /// The record's body, bit for bit; `None` where it says base64 and is not.
    #[must_use]
    pub fn body(&self) -> Option<Cow<'_, [u8]>> {
        match &self.driftlog.body {
            Some(text) => base64_decode(text).map(Cow::Owned),
            None => Some(Cow::Borrowed(self.message.as_bytes())),
        }
    }
}

/// `log` of a [`Document`].
#[derive(Debug, Default, Deserialize)]
pub struct Log<'a> {
    /// The severity's name.
    #[serde(borrow)]
    pub level: Option<Cow<'a, str>>,
    /// The file.
    #[serde(borrow)]
    pub file: Option<LogFile<'a>>,
}

/// `log.file` of a [`Document`].
#[derive(Debug, Deserialize)]
pub struct LogFile<'a> {
    /// Its path.
    #[serde(borrow)]
    pub path: Cow<'a, str>,
}

/// `host` of a [`Document`].
#[derive(Debug, Deserialize)]
pub struct Host<'a> {
    /// The device.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
}

/// `driftlog` of a [`Document`].
#[derive(Debug, Deserialize)]
pub struct Own<'a> {
    /// Record, start, gap, notice or deadletter.
    #[serde(borrow)]
    pub kind: Cow<'a, str>,
    /// The lane.
    #[serde(borrow)]
    pub lane: Cow<'a, str>,
    /// `none` where no newline followed.
    #[serde(borrow)]
    pub ending: Option<Cow<'a, str>>,
    /// The body where it is not UTF-8.
    #[serde(borrow)]
    pub body: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct RawOutline<'a> {
    event: RawEvent,
    #[serde(borrow)]
    host: Host<'a>,
    #[serde(borrow)]
    driftlog: RawOwn<'a>,
}

#[derive(Deserialize)]
struct RawEvent {
    sequence: u64,
}

#[derive(Deserialize)]
struct RawOwn<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    lane: Cow<'a, str>,
    #[serde(borrow)]
    run: Cow<'a, str>,
    #[serde(borrow)]
    chain: Option<Cow<'a, str>>,
    #[serde(borrow)]
    parent: Option<RawPlace<'a>>,
    #[serde(borrow)]
    gap: Option<RawGap<'a>>,
    #[serde(borrow)]
    notice: Option<Cow<'a, str>>,
    deadletter: Option<RawRange>,
}

/// A place as JSON has it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RawPlace<'a> {
    #[serde(borrow)]
    run: Cow<'a, str>,
    seq: u64,
    #[serde(borrow)]
    chain: Cow<'a, str>,
}

#[derive(Deserialize)]
struct RawGap<'a> {
    to: u64,
    #[serde(borrow)]
    cause: Cow<'a, str>,
}

#[derive(Deserialize)]
struct RawRange {
    to: u64,
}

impl RawPlace<'_> {
    pub(crate) fn place(&self) -> Result<Place, String> {
        Ok(Place { run: RunId(hex(&self.run)?), seq: Seq(self.seq), chain: Chain(hex(&self.chain)?) })
    }
}

impl RawOwn<'_> {
    fn fact(&self) -> Result<Fact, String> {
        let missing = || format!("a {} without its own field", self.kind);
        match self.kind.as_ref() {
            "record" => Ok(Fact::Record),
            "start" => Ok(Fact::Start { parent: self.parent.as_ref().ok_or_else(missing)?.place()? }),
            "gap" => {
                let gap = self.gap.as_ref().ok_or_else(missing)?;
                let cause = Cause::ALL.into_iter().find(|cause| cause.name() == gap.cause);
                let cause = cause.ok_or_else(|| format!("there is no cause {}", gap.cause))?;
                Ok(Fact::Gap { to: Seq(gap.to), cause })
            }
            "notice" => {
                let name = self.notice.as_deref().ok_or_else(missing)?;
                let notice = Notice::ALL.into_iter().find(|notice| notice.name() == name);
                notice.map(Fact::Notice).ok_or_else(|| format!("there is no notice {name}"))
            }
            "deadletter" => {
                Ok(Fact::DeadLetter { to: Seq(self.deadletter.as_ref().ok_or_else(missing)?.to) })
            }
            other => Err(format!("there is no kind {other}")),
        }
    }
}

/// Reads 16 hexadecimal digits.
fn hex(text: &str) -> Result<u64, String> {
    let digits = Some(text).filter(|t| t.len() == 16 && t.bytes().all(|b| b.is_ascii_hexdigit()));
    digits
        .and_then(|text| u64::from_str_radix(text, 16).ok())
        .ok_or_else(|| format!("{text} is not 16 hexadecimal digits"))
}
