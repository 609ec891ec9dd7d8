//! What there is of Kafka in a gateway that was built without it: nothing, said plainly. Its configuration
//! does not get as far as this.

use super::{KafkaConfig, WITHOUT};

/// # Errors
/// Always.
pub fn setup(_: &KafkaConfig) -> Result<Vec<String>, String> {
    Err(WITHOUT.to_owned())
}

/// # Errors
/// Always.
pub fn standing(_: &KafkaConfig) -> Result<Vec<String>, String> {
    Err(WITHOUT.to_owned())
}

/// # Errors
/// Always.
pub fn is_whole(_: &KafkaConfig) -> Result<bool, String> {
    Err(WITHOUT.to_owned())
}

/// # Errors
/// Always.
pub fn documents(_: &KafkaConfig, _: &mut dyn FnMut(&[u8]) -> Result<(), String>) -> Result<(), String> {
    Err(WITHOUT.to_owned())
}
