//! What was sent and the broker has not acknowledged: how many bytes, and for how long.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use driftlog_proto::limits::MESSAGE_BYTES_MAX;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use super::mqtt::FLUSH_WAIT;

/// Publishes that the broker has not acknowledged.
pub(super) const IN_FLIGHT_MAX: u16 = 32;
/// A broker that owes an acknowledgement for so long is complained of.
const OWED_TOLD: Duration = Duration::from_secs(30);
/// One that does so for so long will not send it any more (RabbitMQ stops for a message over its limit, and
/// answers pings). While a message leaves, nothing is read: so two of them may lie between.
const OWED_MAX: Duration = Duration::from_secs(2 * FLUSH_WAIT.as_secs());
/// How often to look while something is owed.
const OWED_LOOK: Duration = Duration::from_secs(10);

/// Counts the bytes that the broker has not acknowledged.
#[derive(Debug)]
pub(super) struct InFlight {
    budget: Semaphore,
    bytes_max: u32,
    sizes: Mutex<Sizes>,
}

/// Bytes of messages.
#[derive(Debug)]
struct Sizes {
    /// Given to rumqttc, without a packet id yet, oldest first.
    given: Vec<u32>,
    /// Sent, by packet id; 0 when acknowledged.
    sent: [u32; IN_FLIGHT_MAX as usize + 1],
    /// The largest acknowledged.
    taken_max: u32,
    /// The last acknowledgement, or the first message after everything was acknowledged.
    owed_since: Option<Instant>,
}

impl Sizes {
    fn sent_max(&self) -> u32 {
        self.sent.into_iter().max().unwrap_or(0)
    }
}

impl InFlight {
    pub(super) fn new(bytes_max: u32) -> Self {
        let sent = [0; IN_FLIGHT_MAX as usize + 1];
        let sizes = Sizes { given: Vec::new(), sent, taken_max: 0, owed_since: None };
        Self { budget: Semaphore::new(bytes_max as usize), bytes_max, sizes: Mutex::new(sizes) }
    }

    fn sizes(&self) -> MutexGuard<'_, Sizes> {
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until so many bytes may be sent.
    pub(super) async fn take(&self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.bytes_max);
        // The semaphore is never closed: an error cannot occur, and would only mean one message more.
        if let Ok(permit) = self.budget.acquire_many(bytes).await {
            permit.forget();
        }
        self.sizes().given.push(bytes);
    }

    /// The oldest that was given has left, with this packet id.
    pub(super) fn handle_sent(&self, id: u16) {
        let mut sizes = self.sizes();
        if sizes.given.is_empty() {
            return;
        }
        let bytes = sizes.given.remove(0);
        if let Some(slot) = sizes.sent.get_mut(usize::from(id)) {
            *slot = bytes;
            sizes.owed_since.get_or_insert_with(Instant::now);
        }
    }

    /// The broker has acknowledged this packet id.
    pub(super) fn handle_acknowledged(&self, id: u16) {
        let mut sizes = self.sizes();
        if let Some(slot) = sizes.sent.get_mut(usize::from(id)) {
            let bytes = std::mem::take(slot);
            self.budget.add_permits(bytes as usize);
            sizes.taken_max = sizes.taken_max.max(bytes);
            sizes.owed_since = (sizes.sent_max() > 0).then(Instant::now);
        }
    }

    /// Bytes of the largest message that the broker has acknowledged, and of the largest that was sent
    /// and that it has not.
    pub(super) fn largest(&self) -> (u32, u32) {
        let sizes = self.sizes();
        (sizes.taken_max, sizes.sent_max())
    }

    /// Waits until the broker has owed an acknowledgement for too long, and says so before that. Returns why
    /// the connection is given up.
    pub(super) async fn overdue(&self) -> String {
        let mut is_told = false;
        loop {
            // What is owed later is not late before that.
            let is_owed = self.sizes().owed_since.is_some();
            sleep(if is_owed { OWED_LOOK } else { OWED_TOLD }).await;
            let owed = self.sizes().owed_since.map_or(Duration::ZERO, |since| since.elapsed());
            let (seconds, bytes) = (owed.as_secs(), self.largest().1);
            let text = || {
                format!(
                    "the broker has acknowledged nothing for {seconds} s, though up to {bytes} bytes in one message were sent\nhint: it must carry messages of {MESSAGE_BYTES_MAX} bytes (RabbitMQ: max_message_size); its log may say more"
                )
            };
            if owed >= OWED_MAX {
                return text();
            }
            let is_late = owed >= OWED_TOLD;
            if is_late && !is_told {
                log::warn!("{}", text());
            }
            is_told = is_late;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_broker_that_acknowledges_nothing_any_more_is_given_up() {
        let in_flight = InFlight::new(1 << 18);
        let begin = Instant::now();
        in_flight.take(100).await;
        in_flight.handle_sent(1);
        in_flight.take(9_000).await;
        in_flight.handle_sent(2);
        sleep(Duration::from_secs(200)).await;
        in_flight.handle_acknowledged(1);
        let reason = in_flight.overdue().await;
        assert!(begin.elapsed() >= Duration::from_secs(200) + OWED_MAX, "{:?}", begin.elapsed());
        assert!(reason.contains("up to 9000 bytes in one message"), "{reason}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_broker_that_owes_nothing_is_waited_for_for_ever() {
        let in_flight = InFlight::new(1 << 18);
        in_flight.take(100).await;
        in_flight.handle_sent(1);
        in_flight.handle_acknowledged(1);
        let ended = tokio::time::timeout(10 * OWED_MAX, in_flight.overdue()).await;
        assert!(ended.is_err(), "{ended:?}");
    }
}
