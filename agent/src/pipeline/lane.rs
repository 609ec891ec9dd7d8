//! One lane on the device: its open block, its spool, its sender.

use std::collections::VecDeque;
use std::fmt::Display;

use driftlog_proto::block::{Packer, WORKSPACE_BYTES};
use driftlog_proto::ids::{Lane, Place, RunId};
use driftlog_proto::limits::MESSAGE_BYTES_MAX;
use driftlog_proto::message::Ask;
use driftlog_proto::sender::Sender;
use driftlog_proto::time::{ClockState, Mono, Unix};

use super::RETRY_MS;
use super::pace::Pace;
use super::pack::Choice;
use super::room::Room;
use crate::spool::disk::Disk;
use crate::spool::{Durability, Spool};

/// The instant at which a block was opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opened {
    pub(super) mono: Mono,
    pub(super) wall: Unix,
    pub(super) clock: ClockState,
    /// The last record's time.
    pub(super) last: Mono,
    /// It is to be sealed as soon as what is at hand has been read.
    pub(super) is_pressing: bool,
}

/// What the gateway asked for.
#[derive(Debug)]
pub(super) enum Answer {
    /// A sealed block, once more.
    Again(Vec<u8>),
    /// It is there no longer.
    Gone(Ask),
}

/// A lane's way out.
pub(super) struct LaneOut<D: Disk> {
    pub(super) lane: Lane,
    pub(super) run: RunId,
    pub(super) packer: Packer<Room>,
    pub(super) opened: Option<Opened>,
    pub(super) pace: Pace,
    pub(super) choice: Choice,
    pub(super) spool: Spool<D>,
    pub(super) sender: Sender,
    /// What goes out before anything else: at most [`REFERENCE_BLOCKS_MAX`] blocks.
    ///
    /// [`REFERENCE_BLOCKS_MAX`]: driftlog_proto::limits::REFERENCE_BLOCKS_MAX
    pub(super) answers: VecDeque<Answer>,
    /// A failed write is tried again then; `Mono(0)`: none has failed.
    pub(super) retry_at: Mono,
    retries: u32,
    pub(super) last_error: Option<String>,
    /// It was said that the flash forgot what it had published.
    pub(super) is_forgetting_told: bool,
    /// Of the item that begins here it was said that the gateway does not hear it.
    unheard_told: Option<Place>,
}

impl<D: Disk> LaneOut<D> {
    pub(super) fn new(spool: Spool<D>, in_flight_bytes_max: u32, pace: Pace) -> Self {
        let packer = Packer::new(Room::new(WORKSPACE_BYTES)).expect("the room has WORKSPACE_BYTES");
        let sender = Sender::new(spool.base(), in_flight_bytes_max);
        Self {
            lane: spool.config().lane,
            run: spool.run(),
            packer,
            opened: None,
            pace,
            choice: Choice::new(),
            spool,
            sender,
            answers: VecDeque::new(),
            retry_at: Mono(0),
            retries: 0,
            last_error: None,
            is_forgetting_told: false,
            unheard_told: None,
        }
    }

    /// Makes durable what the durability policy says is due.
    pub(super) fn sync(&mut self, now: Mono) {
        if now >= self.spool.poll_deadline() {
            self.sync_now(now);
        }
    }

    pub(super) fn sync_now(&mut self, now: Mono) {
        if let Err(error) = self.spool.sync_now(now) {
            self.failed(now, &error);
        }
    }

    /// Makes durable what the spool has taken, though the policy would let it wait; false when
    /// that failed. With durability `none` nothing is ever more durable than it is.
    pub(super) fn settle(&mut self, now: Mono) -> bool {
        if self.spool.is_synced() || self.spool.config().durability == Durability::None {
            return true;
        }
        if now >= self.retry_at {
            self.sync_now(now);
        }
        self.spool.is_synced()
    }

    /// A write to the spool failed: nothing was changed; it is tried again after a while.
    pub(super) fn failed(&mut self, now: Mono, error: &impl Display) {
        let wait = (RETRY_MS.0 << self.retries.min(6)).min(RETRY_MS.1);
        self.retries = self.retries.saturating_add(1);
        self.retry_at = now.plus_ms(wait);
        let text = error.to_string();
        if self.last_error.as_ref() != Some(&text) {
            log::error!("lane {}: {text}; the sources wait, and it is tried again", self.lane.name());
        }
        self.last_error = Some(text);
    }

    pub(super) fn succeeded(&mut self) {
        if self.last_error.take().is_some() {
            log::info!("lane {}: the spool takes blocks again", self.lane.name());
        }
        self.retries = 0;
        self.retry_at = Mono(0);
    }

    /// In words: the gateway has not received what was sent to it several times.
    pub(super) fn unheard(&self) -> Option<String> {
        let item = self.sender.unheard()?;
        Some(format!(
            "the item at {} ({} bytes) was sent several times, and the gateway hears what is sent after it and not this\nhint: the broker must carry messages of {MESSAGE_BYTES_MAX} bytes; one with a lower limit may drop longer ones unsaid (mosquitto: message_size_limit, RabbitMQ: max_message_size)",
            item.begin, item.bytes
        ))
    }

    /// Says so to the log, once for each item.
    pub(super) fn tell_unheard(&mut self) {
        let at = self.sender.unheard().map(|item| item.begin);
        if at.is_some() && at != self.unheard_told {
            log::warn!("lane {}: {}", self.lane.name(), self.unheard().unwrap_or_default());
            self.unheard_told = at;
        }
    }

    /// When the lane has something to do; `sealed_from`: it cannot be sealed before that.
    pub(super) fn deadline(&self, delay_ms: u64, sealed_from: Mono) -> Mono {
        let seal = match &self.opened {
            _ if self.retry_at > Mono(0) => self.retry_at,
            Some(opened) if opened.is_pressing => Mono(0),
            Some(opened) => opened.mono.plus_ms(delay_ms),
            None => Mono::FOREVER,
        };
        seal.max(sealed_from).min(self.spool.poll_deadline()).min(self.sender.poll_deadline())
    }

    /// Whether the open block is to be sealed now.
    pub(super) fn is_due(&self, now: Mono, delay_ms: u64) -> bool {
        let is_late = |opened: &Opened| opened.is_pressing || now >= opened.mono.plus_ms(delay_ms);
        now >= self.retry_at && self.opened.as_ref().is_some_and(is_late)
    }
}
