//! MQTT on the shore: an [`embedded`] broker unless another is named, and one [`client`] in
//! either case.
//!
//! MQTT carries messages; nothing of the promise rests on it. Whatever it loses, doubles or
//! reorders is made good by the devices, which keep what the gateway has not acknowledged.

pub mod client;
pub mod config;
pub mod embedded;
mod keeper;
mod tls;

use driftlog_proto::ids::DeviceId;

pub use client::{Client, Event, Publish, TooLarge};
pub use config::BrokerConfig;
pub use embedded::{Embedded, StartError};
pub use keeper::Keeper;

/// What the gateway subscribes: everything that devices say.
pub const UP_FILTER: &str = "driftlog/v1/+/+/up";

/// The two topics on which a device listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// The last word on every lane of the device; retained by the broker.
    Ack,
    /// Everything else; not retained.
    Down,
}

impl Channel {
    /// The topic of a device.
    #[must_use]
    pub fn topic(self, device: &DeviceId) -> String {
        let name = match self {
            Self::Ack => "ack",
            Self::Down => "down",
        };
        format!("driftlog/v1/{:02x}/{device}/{name}", device.shard())
    }

    /// Whether the broker keeps the last message for whoever subscribes later.
    #[must_use]
    pub const fn is_retained(self) -> bool {
        matches!(self, Self::Ack)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topics_of_a_device_name_its_shard() {
        let device = DeviceId::new("pump-7").unwrap();
        let shard = format!("{:02x}", device.shard());
        assert_eq!(Channel::Ack.topic(&device), format!("driftlog/v1/{shard}/pump-7/ack"));
        assert_eq!(Channel::Down.topic(&device), format!("driftlog/v1/{shard}/pump-7/down"));
        assert!(Channel::Ack.is_retained());
        assert!(!Channel::Down.is_retained());
    }
}
