//! What may be behind it when a broker closes one connection after the other. MQTT 3.1.1 has no word for it:
//! a client id that another client has taken over, a message over the broker's limit, and one that its rules forbid
//! all end with a closed socket.

use std::fmt;
use std::io;
use std::time::Duration;

use driftlog_proto::limits::MESSAGE_BYTES_MAX;
use rumqttc::mqttbytes::Error as PacketError;
use rumqttc::{ConnectionError, StateError};

use super::mqtt::STEADY;

/// One is how every restart of a broker looks.
const IN_A_ROW_TOLD: u32 = 2;

/// Connections that the broker closed soon after they were made, one after the other.
#[derive(Debug, Default)]
pub(super) struct Closings {
    in_a_row: u32,
    /// Bytes of the largest message that the broker has acknowledged, in all connections.
    taken_max: u32,
    /// Bytes of the largest that was on its way when the last connection was closed.
    pending_max: u32,
}

impl Closings {
    /// A connection that was up has ended, after so long.
    pub(super) fn handle_end(
        &mut self,
        lived: Duration,
        taken_max: u32,
        pending_max: u32,
        error: Option<&ConnectionError>,
    ) {
        self.taken_max = self.taken_max.max(taken_max);
        self.pending_max = pending_max;
        let is_early = lived < STEADY && error.is_some_and(is_closed);
        self.in_a_row = if is_early { self.in_a_row.saturating_add(1) } else { 0 };
    }

    /// For the operator; empty when there is nothing to say.
    pub(super) fn hint<'a>(&'a self, client_id: &'a str, topic: &'a str) -> impl fmt::Display + 'a {
        Hint { closings: self, client_id, topic }
    }
}

struct Hint<'a> {
    closings: &'a Closings,
    client_id: &'a str,
    topic: &'a str,
}

impl fmt::Display for Hint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Closings { in_a_row, taken_max, pending_max } = *self.closings;
        if in_a_row < IN_A_ROW_TOLD {
            return Ok(());
        }
        write!(f, ", {in_a_row} times in a row soon after it was made\nhint: ")?;
        if pending_max > 0 && taken_max == 0 {
            write!(f, "it has not taken a single message; may this user publish to {}? ", self.topic)?;
        } else if pending_max > taken_max {
            write!(
                f,
                "a message of {pending_max} bytes was on its way, and it has taken none over {taken_max}; "
            )?;
            write!(
                f,
                "it must carry {MESSAGE_BYTES_MAX} (mosquitto: max_packet_size, with 1024 for the head). "
            )?;
        }
        write!(f, "Is another client using the client id {:?}?", self.client_id)
    }
}

/// Whether it was the other side that ended the connection.
pub(super) fn is_closed(error: &ConnectionError) -> bool {
    let (ConnectionError::Io(error)
    | ConnectionError::MqttState(
        StateError::Io(error) | StateError::Deserialization(PacketError::Io(error)),
    )) = error
    else {
        return matches!(error, ConnectionError::MqttState(StateError::ConnectionAborted));
    };
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(closings: &Closings) -> String {
        closings.hint("pump", "driftlog/v1/29/pump-7/up").to_string()
    }

    fn close(closings: &mut Closings, lived: Duration, taken_max: u32, pending_max: u32) {
        let error = ConnectionError::MqttState(StateError::ConnectionAborted);
        closings.handle_end(lived, taken_max, pending_max, Some(&error));
    }

    #[test]
    fn a_connection_that_is_closed_once_or_after_long_is_no_matter_for_a_hint() {
        let mut closings = Closings::default();
        close(&mut closings, Duration::from_secs(1), 100, 0);
        assert_eq!(hint(&closings), "");
        close(&mut closings, STEADY, 100, 0);
        close(&mut closings, Duration::from_secs(1), 100, 0);
        assert_eq!(hint(&closings), "");
    }

    #[test]
    fn another_end_between_two_closings_begins_the_count_anew() {
        let mut closings = Closings::default();
        close(&mut closings, Duration::ZERO, 100, 0);
        closings.handle_end(Duration::ZERO, 0, 0, Some(&ConnectionError::NetworkTimeout));
        close(&mut closings, Duration::ZERO, 100, 0);
        assert_eq!(hint(&closings), "");
    }

    #[test]
    fn the_hint_follows_from_what_was_on_its_way_and_what_the_broker_ever_took() {
        let mut closings = Closings::default();
        close(&mut closings, Duration::ZERO, 100, 0);
        close(&mut closings, Duration::ZERO, 0, 100);
        assert_eq!(
            hint(&closings),
            ", 2 times in a row soon after it was made\nhint: Is another client using the client id \"pump\"?"
        );
        close(&mut closings, Duration::ZERO, 0, 5_000);
        let said = hint(&closings);
        assert!(
            said.contains("a message of 5000 bytes was on its way, and it has taken none over 100"),
            "{said}"
        );
        let mut closings = Closings::default();
        (0..2).for_each(|_| close(&mut closings, Duration::ZERO, 0, 100));
        assert!(hint(&closings).contains("may this user publish to driftlog/v1/29/pump-7/up?"));
    }
}
