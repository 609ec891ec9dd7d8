//! One connection of a device: greeting, the last `Ack` heard, the returned clock reading.

use crate::ids::{AckNumber, SessionId};
use crate::message::{Ack, Returned};
use crate::time::Mono;

/// The shortest wait before an unanswered `Hello` is sent again.
pub const HELLO_MS_MIN: u64 = 2_000;
/// The longest wait before an unanswered `Hello` is sent again.
pub const HELLO_MS_MAX: u64 = 60_000;

/// What an `Ack` is to this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// It is of a generation never heard before: everything unacknowledged is due again.
    pub is_new_generation: bool,
    /// It echoes this session and is the newest that does: its credit holds.
    pub is_credit_valid: bool,
}

/// The device's side of a connection, shared by its lanes.
#[derive(Debug, Default)]
pub struct Session {
    id: Option<SessionId>,
    heard: AckNumber,
    /// The newest `Ack` that echoed this session.
    answered: Option<AckNumber>,
    returned: Option<Returned>,
    hello_due: bool,
    hello_sent: Option<Mono>,
    hello_tries: u32,
}

impl Session {
    /// The present session, when there is a connection.
    #[must_use]
    pub const fn id(&self) -> Option<SessionId> {
        self.id
    }

    /// The number of the last `Ack` heard, of whatever generation; zeros if none.
    #[must_use]
    pub const fn heard(&self) -> AckNumber {
        self.heard
    }

    /// The newest `Ack` that answered this session, to be returned in every reading.
    #[must_use]
    pub const fn returned(&self) -> Option<Returned> {
        self.returned
    }

    /// The gateway has answered in this connection.
    #[must_use]
    pub const fn is_answered(&self) -> bool {
        self.answered.is_some()
    }

    /// How often `Hello` was sent in this connection without an answer.
    #[must_use]
    pub const fn unanswered(&self) -> u32 {
        if self.is_answered() { 0 } else { self.hello_tries }
    }

    /// A connection begins: `Hello` is due.
    pub fn handle_link_up(&mut self, id: SessionId) {
        *self = Self { id: Some(id), heard: self.heard, hello_due: true, ..Self::default() };
    }

    /// The connection is gone.
    pub fn handle_link_down(&mut self) {
        *self = Self { heard: self.heard, ..Self::default() };
    }

    /// An `Ack` was heard at `now`. One from before this connection (retained by the broker)
    /// acknowledges as well as any, but gives no credit and no time.
    pub fn handle_ack(&mut self, now: Mono, ack: &Ack) -> Heard {
        let is_new_generation = ack.number.generation > self.heard.generation;
        self.heard = self.heard.max(ack.number);
        let echoes = self.id.is_some() && ack.echo.as_ref().map(|echo| echo.session) == self.id;
        let is_credit_valid = echoes && self.answered.is_none_or(|answered| ack.number > answered);
        if is_credit_valid {
            self.answered = Some(ack.number);
            self.returned = Some(Returned { number: ack.number, sent: ack.sent, heard: now });
        }
        if is_new_generation && self.id.is_some() {
            self.hello_due = true;
            self.hello_tries = 0;
        }
        Heard { is_new_generation, is_credit_valid }
    }

    /// Whether to send `Hello` now; the caller does so at once.
    pub fn poll_hello(&mut self, now: Mono) -> bool {
        if self.id.is_none() || now < self.poll_deadline() {
            return false;
        }
        self.hello_due = false;
        self.hello_sent = Some(now);
        self.hello_tries = self.hello_tries.saturating_add(1);
        true
    }

    /// When the next `Hello` is due.
    #[must_use]
    pub fn poll_deadline(&self) -> Mono {
        match (self.hello_due, self.hello_sent, self.answered) {
            (true, ..) => Mono(0),
            (false, Some(sent), None) => {
                let doublings = self.hello_tries.saturating_sub(1).min(5);
                sent.plus_ms((HELLO_MS_MIN << doublings).min(HELLO_MS_MAX))
            }
            _ => Mono::FOREVER,
        }
    }
}
