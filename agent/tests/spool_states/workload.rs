//! The workloads: short, each with one thing in it that a spool does.
//!
//! Segments are short, too. Of blocks of 4,500 bytes each opens the next one, of 2,900 every second.

use driftlog_agent::spool::{Durability, Overflow, SpoolConfig};
use driftlog_proto::ids::Lane;

use crate::device::Step::{self, *};
use crate::recording::Fault;

/// A spool that has room for all that is ever done here.
pub(crate) fn roomy() -> SpoolConfig {
    SpoolConfig {
        segment_bytes: 8192,
        durability: Durability::Block,
        overflow: Overflow::DropOldest,
        ..SpoolConfig::new(Lane::Bulk, 16 * 8192)
    }
}

/// Room for five segments, and the reserve.
pub(crate) fn tight() -> SpoolConfig {
    SpoolConfig { bytes_max: 6 * 8192, ..roomy() }
}

pub(crate) fn pausing() -> SpoolConfig {
    SpoolConfig { overflow: Overflow::PauseSources, ..tight() }
}

pub(crate) fn lazy(config: SpoolConfig) -> SpoolConfig {
    SpoolConfig { durability: Durability::Interval { ms: 1_000_000 }, ..config }
}

pub(crate) const APPEND: &[Step] = &[Start, Append(2, 200), Append(1, 40), Publish, Append(3, 900), Publish];

pub(crate) const ROLL: &[Step] = &[
    Start,
    Append(2, 2900),
    Append(1, 2900),
    Publish,
    Append(3, 2900),
    Append(2, 2900),
    Publish,
    Append(1, 4500),
    Append(2, 300),
];

pub(crate) const RECYCLE: &[Step] = &[
    Start,
    Append(2, 2900),
    Append(1, 2900),
    Publish,
    AcknowledgeAll,
    Append(3, 2900),
    Append(2, 2900),
    Publish,
    AcknowledgeAll,
    Append(1, 4500),
    Append(1, 300),
    Publish,
    Acknowledge(1),
    Append(2, 4500),
    Publish,
    AcknowledgeAll,
    Append(2, 2900),
    Append(1, 2900),
    Append(2, 4500),
];

pub(crate) const TRIM: &[Step] = &[
    Start,
    Append(2, 300),
    Append(1, 300),
    Append(3, 300),
    Publish,
    Acknowledge(2),
    Append(1, 300),
    Publish,
    Acknowledge(1),
    Cursor(7),
    Append(2, 4500),
    Publish,
    AcknowledgeAll,
    Cursor(7),
    Append(1, 100),
];

pub(crate) const OVERFLOW: &[Step] = &[
    Start,
    Append(2, 4500),
    Publish,
    Append(1, 4500),
    Append(3, 4500),
    Append(2, 4500),
    Publish,
    Append(1, 4500),
    Publish,
    Append(2, 4500),
    Publish,
    AcknowledgeInGap,
    Append(3, 4500),
    Append(1, 2900),
    Publish,
    Acknowledge(2),
    Append(1, 4500),
    Append(1, 4500),
    Publish,
    Append(2, 4500),
];

pub(crate) const PAUSE: &[Step] = &[
    Start,
    Append(2, 4500),
    Append(1, 4500),
    Append(3, 4500),
    Append(2, 4500),
    Append(3, 4500),
    Append(3, 4500),
    Publish,
    Acknowledge(3),
    Append(2, 4500),
    Append(1, 4500),
    Publish,
    Refuse(1),
    AcknowledgeAll,
    Append(1, 4500),
    Append(1, 4500),
];

pub(crate) const CURSORS: &[Step] = &[
    Start,
    Cursor(7),
    Cursor(8),
    Cursor(7),
    Restart,
    Cursor(9),
    Append(2, 300),
    Forget(8),
    Cursor(7),
    Append(2, 4500),
    Restart,
    Append(2, 2900),
    Cursor(7),
];

pub(crate) const GAPS: &[Step] = &[
    Start,
    Append(2, 2900),
    Append(1, 2900),
    Append(3, 2900),
    Append(2, 2900),
    Publish,
    Refuse(2),
    Publish,
    Refuse(4),
    Publish,
    Refuse(3),
    Publish,
    Acknowledge(2),
    AcknowledgeInGap,
    Cursor(7),
    Append(1, 4500),
    Append(2, 4500),
    Append(2, 4500),
    Publish,
    Append(2, 4500),
    Publish,
];

pub(crate) const RESTART: &[Step] = &[
    Start,
    Append(2, 300),
    Restart,
    Restart,
    Append(1, 300),
    Publish,
    Append(3, 300),
    Restart,
    Publish,
    Acknowledge(3),
    Append(2, 4500),
    Restart,
    Append(1, 4500),
    Publish,
    AcknowledgeAll,
    Restart,
    Append(1, 4500),
];

pub(crate) const LARGE: &[Step] = &[
    Start,
    Append(2, 12000),
    Append(1, 200),
    Publish,
    Append(3, 9000),
    Publish,
    AcknowledgeAll,
    Append(1, 300),
    Append(1, 12000),
];

pub(crate) const LATER: &[Step] = &[
    Start,
    Append(2, 300),
    Append(1, 300),
    Publish,
    Cursor(7),
    Append(3, 300),
    Sync,
    Publish,
    Append(2, 2000),
    Append(1, 2000),
    Append(1, 2000),
    Publish,
    Acknowledge(2),
    Append(2, 300),
    Restart,
    Publish,
    Append(1, 500),
    Append(1, 500),
    Sync,
    Publish,
];

pub(crate) const FAILED_SYNC: &[Step] = &[
    Start,
    Append(2, 300),
    Append(1, 300),
    Publish,
    Fail(Fault::Sync),
    Append(3, 300),
    Append(2, 400),
    Publish,
    Append(1, 100),
];

pub(crate) const FAILED_LATER: &[Step] = &[
    Start,
    Append(2, 300),
    Append(1, 300),
    Fail(Fault::Sync),
    Sync,
    Sync,
    Publish,
    Append(2, 400),
    Append(2, 400),
    Fail(Fault::Sync),
    Sync,
    Append(1, 100),
    Publish,
    Restart,
    Publish,
    Append(1, 400),
    Append(1, 400),
    Fail(Fault::Sync),
    Sync,
    Restart,
    Publish,
    Append(1, 100),
];

pub(crate) const FAILED_WRITE: &[Step] = &[
    Start,
    Append(2, 300),
    Append(1, 300),
    Publish,
    Fail(Fault::ShortWrite),
    Append(3, 300),
    Append(2, 400),
    Publish,
    Fail(Fault::Write),
    Append(1, 400),
    Append(1, 400),
    Fail(Fault::Write),
    Append(1, 4500),
    Append(1, 100),
    Publish,
];

pub(crate) const FAILED_FILES: &[Step] = &[
    Start,
    Fail(Fault::SyncDirectory),
    Append(2, 4500),
    Append(2, 4500),
    Publish,
    Append(1, 4500),
    Restart,
    Fail(Fault::Resize),
    Append(1, 300),
    Append(1, 4500),
    Publish,
    AcknowledgeAll,
    Fail(Fault::Create),
    Append(1, 4500),
    Append(1, 9000),
    Fail(Fault::Remove),
    Append(1, 4500),
    Append(1, 4500),
    Publish,
    AcknowledgeAll,
    Append(1, 4500),
];

/// The directory of the spare file could not be synced; later it is written while there is another.
pub(crate) const FAILED_DIRECTORY: &[Step] = &[
    Start,
    Append(2, 2900),
    Append(1, 2900),
    Fail(Fault::SyncDirectory),
    Append(2, 2900),
    Append(2, 2900),
    Publish,
    AcknowledgeAll,
    Append(1, 300),
    Append(1, 4500),
    Publish,
];

/// Of two blocks one waits for its sync when the next segment is opened, and the oldest goes.
pub(crate) const LATER_OVERFLOW: &[Step] = &[
    Start,
    Append(2, 2900),
    Append(1, 2900),
    Append(3, 2900),
    Append(2, 2900),
    Append(1, 2900),
    Append(2, 2900),
    Append(1, 2900),
    Append(3, 2900),
    Publish,
    Append(2, 2900),
    Append(1, 2900),
    Publish,
    Append(1, 2900),
    Append(2, 2900),
];

/// What the first file holds is acknowledged between a write and its sync; the file is no spare.
pub(crate) const LATER_LARGE: &[Step] = &[
    Start,
    Append(2, 12000),
    Append(1, 2900),
    Publish,
    Append(1, 300),
    AcknowledgeAll,
    Sync,
    Append(1, 300),
    Sync,
];

pub(crate) const LIED_TO: &[Step] = &[
    Start,
    Append(2, 2900),
    Publish,
    Lie,
    Append(1, 2900),
    Publish,
    AcknowledgeAll,
    Append(3, 2900),
    Append(2, 2900),
    Publish,
    AcknowledgeAll,
    Append(1, 300),
    Publish,
    AcknowledgeAll,
    Cursor(7),
];
