//! Reading the topic of records back, as whoever reads committed messages sees it.

use super::client::{self, read_partition};
use super::config::KafkaConfig;
use super::topics;

/// Whether the topic still has its oldest messages.
///
/// # Errors
/// What Kafka said.
pub fn is_whole(config: &KafkaConfig) -> Result<bool, String> {
    let topics = topics::ensure(config, false)?;
    for partition in 0..topics.partitions {
        if client::oldest(config, &config.topic, partition)? > 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Gives every committed document to `each`, a partition after another: each device's in order. What is
/// written meanwhile may be among them.
///
/// # Errors
/// What Kafka said, or what `each` said.
pub fn documents(
    config: &KafkaConfig,
    each: &mut dyn FnMut(&[u8]) -> Result<(), String>,
) -> Result<(), String> {
    let topics = topics::ensure(config, false)?;
    for partition in 0..topics.partitions {
        read_partition(config, &config.topic, partition, &mut |_, value| value.map_or(Ok(()), &mut *each))?;
    }
    Ok(())
}
