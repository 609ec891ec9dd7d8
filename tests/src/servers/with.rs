//! Which servers a command is to start: the list behind its `--with`.

use super::{Family, Kind};

/// The names that a list may have.
pub const NAMES: &str = "kafka, opensearch or elasticsearch, mosquitto or rabbitmq";

/// Servers by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct With {
    /// The records go to Kafka, which keeps the ledger too.
    pub has_kafka: bool,
    /// They go to a search server.
    pub search: Option<Family>,
    /// The MQTT broker.
    pub broker: Kind,
}

impl With {
    /// Reads a list of names with commas between them.
    ///
    /// # Errors
    /// When a name is none of those, or two want the same place.
    pub fn parse(list: &str) -> Result<Self, String> {
        let mut with = Self::default();
        for name in list.split(',') {
            let is_second = match name {
                "kafka" => std::mem::replace(&mut with.has_kafka, true),
                "opensearch" => with.search.replace(Family::OpenSearch).is_some(),
                "elasticsearch" => with.search.replace(Family::Elasticsearch).is_some(),
                "mosquitto" => std::mem::replace(&mut with.broker, Kind::Mosquitto) != Kind::Embedded,
                "rabbitmq" => std::mem::replace(&mut with.broker, Kind::RabbitMq) != Kind::Embedded,
                other => return Err(format!("there is no server `{other}`: it is {NAMES}")),
            };
            if is_second {
                return Err(format!("`{name}` is one too many in `{list}`: it is {NAMES}"));
            }
        }
        Ok(with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_each_place_once() {
        let with = With::parse("kafka,opensearch,mosquitto").unwrap();
        let expected = With { has_kafka: true, search: Some(Family::OpenSearch), broker: Kind::Mosquitto };
        assert_eq!(with, expected);
        assert_eq!(With::parse("rabbitmq").unwrap().broker, Kind::RabbitMq);
        assert!(With::parse("postgres").unwrap_err().contains("kafka, opensearch"));
        assert!(With::parse("opensearch,elasticsearch").unwrap_err().contains("one too many"));
        assert!(With::parse("kafka,kafka").is_err());
    }
}
