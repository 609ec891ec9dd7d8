//! What a region counts. The names and meanings of the metrics stand in `docs/metrics.md`.

use driftlog_proto::block::Codec;
use driftlog_proto::item::{BlockHeader, Cause};
use driftlog_proto::receiver::Notice;

/// Why something from the wire was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refused {
    /// The topic is not that of the device's shard, or names no device.
    Topic,
    /// The bytes are not a message.
    Malformed,
    /// The sealed item does not match its checksum.
    Checksum,
    /// The item breaks a limit.
    Limit,
    /// The message is of another protocol version.
    Version,
    /// The device is not allowed or is quarantined.
    Device,
    /// The device sends more than its rate.
    Rate,
    /// There are too many devices in memory.
    Devices,
    /// The ledger could not be read for this device.
    Ledger,
}

impl Refused {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Topic,
        Self::Malformed,
        Self::Checksum,
        Self::Limit,
        Self::Version,
        Self::Device,
        Self::Rate,
        Self::Devices,
        Self::Ledger,
    ];

    /// The reason's name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Malformed => "malformed",
            Self::Checksum => "checksum",
            Self::Limit => "limit",
            Self::Version => "version",
            Self::Device => "device",
            Self::Rate => "rate",
            Self::Devices => "devices",
            Self::Ledger => "ledger",
        }
    }
}

/// Blocks that were packed the same way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Blocks {
    /// How many.
    pub count: u64,
    /// Bytes of their columns before packing, as their headers say.
    pub raw_bytes: u64,
    /// Bytes of them as they came over the wire.
    pub sealed_bytes: u64,
}

/// Totals since the region was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages heard.
    pub messages: u64,
    /// Bytes of messages heard.
    pub message_bytes: u64,
    /// Messages refused, by [`Refused`].
    pub refused: [u64; Refused::ALL.len()],
    /// Items that were known already.
    pub duplicates: u64,
    /// Items dropped for want of room; the device sends them again.
    pub dropped_no_room: u64,
    /// Items dropped because nothing admits their run yet.
    pub dropped_unknown: u64,
    /// Blocks committed, by codec; the last are those whose codec this gateway does not know.
    pub blocks: [Blocks; Codec::ALL.len() + 1],
    /// Records committed.
    pub records: u64,
    /// Records declared lost, by [`Cause`].
    pub lost: [u64; Cause::ALL.len()],
    /// Notices committed, by [`Notice`].
    pub notices: [u64; Notice::ALL.len()],
    /// Commits done.
    pub commits: u64,
    /// Commits that failed and were tried again.
    pub commits_failed: u64,
    /// `Ack`s issued.
    pub acks: u64,
    /// `Nack`s issued.
    pub nacks: u64,
    /// Blocks that a device was asked for, since others refer to them.
    pub asks: u64,
    /// Of these, what the device had no longer.
    pub gone: u64,
}

impl Counters {
    /// Counts one more of `counts[at]`.
    pub(super) fn add(counts: &mut [u64], at: usize, by: u64) {
        if let Some(count) = counts.get_mut(at) {
            *count = count.saturating_add(by);
        }
    }

    pub(super) fn block(&mut self, header: &BlockHeader, sealed_bytes: u64) {
        self.records += u64::from(header.count);
        let [known @ .., unknown] = &mut self.blocks;
        let blocks = known.get_mut(usize::from(header.codec)).unwrap_or(unknown);
        blocks.count += 1;
        blocks.raw_bytes += u64::from(header.raw_bytes);
        blocks.sealed_bytes += sealed_bytes;
    }

    pub(super) fn refuse(&mut self, reason: Refused) {
        Self::add(&mut self.refused, reason as usize, 1);
    }
}
