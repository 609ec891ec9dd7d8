//! Every limit of the protocol, in one place. Each is enforced before memory is taken for what
//! it limits, and each has a test that reaches it.

/// Bytes of a device id.
pub const DEVICE_ID_BYTES_MAX: usize = 64;
/// Records are numbered below this (2^53: exact in a double, so in every JSON reader).
pub const SEQ_MAX: u64 = 1 << 53;
/// Bytes of one MQTT payload; what every broker and cloud service carries.
pub const MESSAGE_BYTES_MAX: usize = 128 * 1024;
/// Bytes that a message may need around the sealed item that it carries.
pub const ENVELOPE_BYTES_MAX: usize = 512;
/// Bytes of one sealed item.
pub const ITEM_BYTES_MAX: usize = MESSAGE_BYTES_MAX - ENVELOPE_BYTES_MAX;
/// Bytes of a block's header and checksum around its payload.
pub const ITEM_OVERHEAD_BYTES_MAX: usize = 128;
/// Bytes of a block's payload as it stands on flash and on the wire.
pub const PAYLOAD_BYTES_MAX: usize = ITEM_BYTES_MAX - ITEM_OVERHEAD_BYTES_MAX;
/// Bytes of a block's columns before compression.
pub const RAW_BYTES_MAX: usize = 124 * 1024;
/// Records in one block.
pub const BLOCK_RECORDS_MAX: u32 = 4096;
/// Bytes of one record's body; a longer line is carried as parts.
pub const RECORD_BYTES_MAX: usize = 32 * 1024;
/// Bytes of one line; what is longer is cut, marked and counted.
pub const LINE_BYTES_MAX: usize = 1024 * 1024;
/// Sources named in one block.
pub const BLOCK_SOURCES_MAX: usize = 64;
/// Bytes of a source's path.
pub const PATH_BYTES_MAX: usize = 512;
/// Blocks that another may refer to.
pub const REFERENCE_BLOCKS_MAX: usize = 3;
/// Bytes of each stream of the blocks referred to that are used: of the last ones, less one byte.
pub const REFERENCE_BYTES_MAX: usize = 16 * 1024;
/// Bytes of the sealed blocks that another refers to, together.
pub const REFERENCE_SEALED_BYTES_MAX: usize = 32 * 1024;
/// Starts that one gap may list.
pub const GAP_STARTS_MAX: usize = 64;
/// Gaps of a lane that are not yet acknowledged.
pub const GAPS_MAX: usize = 64;
/// Lanes of a device.
pub const LANES_MAX: usize = 2;
/// Runs that one `Ack` names for a lane.
pub const ACK_RUNS_MAX: usize = 8;
/// Received ranges above the acknowledged place that one `Ack` names for a lane.
pub const ACK_RANGES_MAX: usize = 8;
/// Labels of a device.
pub const LABELS_MAX: usize = 16;
/// Bytes of a label's key.
pub const LABEL_KEY_BYTES_MAX: usize = 32;
/// Bytes of a label's value.
pub const LABEL_VALUE_BYTES_MAX: usize = 128;
/// Bytes of the agent's version as text.
pub const VERSION_BYTES_MAX: usize = 32;
/// Items of a lane on the air at once.
pub const IN_FLIGHT_ITEMS_MAX: usize = 64;
/// Items of a lane that the gateway holds above a hole.
pub const HELD_ITEMS_MAX: usize = IN_FLIGHT_ITEMS_MAX;
/// Runs of a lane that the gateway remembers, tombstones included.
pub const RUNS_MAX: usize = 64;
/// Sinks of a gateway.
pub const SINKS_MAX: usize = 4;

const _: () =
    assert!(RAW_BYTES_MAX <= PAYLOAD_BYTES_MAX, "a block that does not compress must fit a message");
const _: () = assert!(RECORD_BYTES_MAX * 2 <= RAW_BYTES_MAX, "a block must hold two records of any size");
const _: () = assert!(
    GAP_STARTS_MAX * 18 + 64 <= ITEM_OVERHEAD_BYTES_MAX + PAYLOAD_BYTES_MAX,
    "a gap must fit an item"
);
