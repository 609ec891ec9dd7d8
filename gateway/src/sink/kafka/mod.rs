//! Kafka: each batch is one transaction of records and the ledger's writes.
//!
//! Promises:
//! - whoever reads committed messages sees a batch whole or not at all, once, and each device's records in
//!   order: the device is the key, so that its records are in one partition;
//! - the ledger, a compacted topic, has a batch's marks if and only if the batch is there;
//! - of two gateways over one ledger the later one writes, and the earlier one notices and ends.
//!
//! Costs: a round trip or two for each batch, a batch at a time; 32 MiB of what is on its way.

#[cfg(feature = "kafka")]
mod client;
mod config;
#[cfg(feature = "kafka")]
mod link;
#[cfg(feature = "kafka")]
mod read;
#[cfg(feature = "kafka")]
mod sink;
#[cfg(feature = "kafka")]
mod topics;
#[cfg(not(feature = "kafka"))]
mod without;

pub use self::config::{Compression, KafkaConfig, Sasl};
#[cfg(feature = "kafka")]
pub(crate) use self::link::{Instance, Link, Shared, Trouble};
#[cfg(feature = "kafka")]
pub use self::read::{documents, is_whole};
#[cfg(feature = "kafka")]
pub use self::sink::Kafka;
#[cfg(feature = "kafka")]
pub use self::topics::{setup, standing};
#[cfg(not(feature = "kafka"))]
pub use self::without::{documents, is_whole, setup, standing};

/// The sink's name, under which its marks stand in the ledger.
pub const KAFKA: &str = "kafka";

/// What a gateway says that cannot speak to Kafka.
pub(crate) const WITHOUT: &str = "this driftlog-gateway was built without Kafka";
