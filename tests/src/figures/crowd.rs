//! What many known devices cost a gateway that has nothing to do: each has greeted, and delivered one block.
//!
//! No agents: one MQTT client says what all of them would say, on a broker of its own, so that what is measured is the
//! gateway alone.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use driftlog_proto::block::{
    Codec, Compress, Ending, Format, Frame, Packer, Part, Record, Severity, Source, WORKSPACE_BYTES,
};
use driftlog_proto::error::Misuse;
use driftlog_proto::ids::{AckNumber, BootId, DeviceId, Lane, Place, RunId, SessionId};
use driftlog_proto::item::{self, BlockHeader, ItemHeader, Start};
use driftlog_proto::limits::{ENVELOPE_BYTES_MAX, ITEM_BYTES_MAX, PAYLOAD_BYTES_MAX};
use driftlog_proto::message::{self, Ack, Down, Hello, HelloLane, Item, Labels, Reading, Told, Up};
use driftlog_proto::time::{ClockState, Mono, Unix};
use rumqttc::{Client, Connection, Event, Incoming, MqttOptions, QoS};

use super::mqtt::broker;
use crate::clock;
use crate::process::Programs;
use crate::shore::{GatewaySettings, Shore};

/// How many devices there are, first and then.
pub(super) const DEVICES: [usize; 2] = [100, 10_000];
/// Time for all of them to be acknowledged.
const ALL_WAIT: Duration = Duration::from_secs(300);
/// Who has had no answer after so long says it again.
const AGAIN: Duration = Duration::from_secs(5);
/// How long the gateway is left alone.
const IDLE: Duration = Duration::from_secs(5);
/// Messages on their way to the broker.
const QUEUE: usize = 256;

/// Resident memory of a gateway.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Crowd {
    /// With so many devices as [`DEVICES`] says, idle.
    pub(super) resident_bytes: [u64; 2],
    /// Started again: it knows the 10,000, and has heard none of them.
    pub(super) resident_bytes_again: u64,
}

impl Crowd {
    /// What one more idle device costs.
    pub(super) fn bytes_per_device(&self) -> u64 {
        let [few, many] = self.resident_bytes;
        many.saturating_sub(few) / (DEVICES[1] - DEVICES[0]) as u64
    }
}

/// Measures a gateway with these settings.
pub(super) fn measure(programs: &Programs, folder: &Path, settings: GatewaySettings) -> io::Result<Crowd> {
    let (address, _broker) = broker(programs, folder)?;
    let place = folder.join("crowd");
    let settings = GatewaySettings { broker: Some(address), ..settings };
    let mut shore = Shore::new(programs, &place, &settings)?;
    shore.start()?;
    shore.wait_ready()?;
    let mut carrier = Carrier::connect(address)?;
    let mut crowd = Crowd::default();
    let mut known = 0;
    for (count, resident) in DEVICES.into_iter().zip(&mut crowd.resident_bytes) {
        carrier.introduce(known..count)?;
        known = count;
        std::thread::sleep(IDLE);
        *resident = shore.usage().resident_bytes;
    }
    shore.stop()?;
    shore.start()?;
    shore.wait_ready()?;
    std::thread::sleep(IDLE);
    let now = shore.gateway().map(|gateway| gateway.usage()).transpose()?;
    crowd.resident_bytes_again = now.map_or(0, |now| now.resident_bytes);
    shore.stop()?;
    std::fs::remove_dir_all(&place)?;
    Ok(crowd)
}

/// One MQTT client for all devices.
struct Carrier {
    client: Client,
    acks: Receiver<(String, Ack)>,
}

impl Carrier {
    fn connect(address: SocketAddr) -> io::Result<Self> {
        let mut options = MqttOptions::new("crowd", address.ip().to_string(), address.port());
        options.set_max_packet_size(ITEM_BYTES_MAX * 2, ITEM_BYTES_MAX * 2);
        let (client, connection) = Client::new(options, QUEUE);
        client.subscribe("driftlog/v1/+/+/ack", QoS::AtLeastOnce).map_err(io::Error::other)?;
        let (send, acks) = channel();
        std::thread::spawn(move || listen(connection, |topic, ack| send.send((topic, ack)).is_ok()));
        Ok(Self { client, acks })
    }

    /// Lets these devices greet and deliver, and returns when all of it is acknowledged.
    fn introduce(&mut self, numbers: std::ops::Range<usize>) -> io::Result<()> {
        let end = clock::now() + ALL_WAIT;
        let mut waiting: HashMap<String, Member> =
            numbers.filter_map(Member::new).map(|member| (member.topic("ack"), member)).collect();
        while !waiting.is_empty() {
            for member in waiting.values() {
                self.publish(member)?;
            }
            loop {
                match self.acks.recv_timeout(AGAIN) {
                    Ok((topic, ack)) => {
                        let Some(member) = waiting.get_mut(&topic) else { continue };
                        let was_new = member.heard == AckNumber::default();
                        member.heard = ack.number;
                        if member.is_acknowledged(&ack) {
                            waiting.remove(&topic);
                        } else if was_new {
                            self.publish(member)?;
                        }
                    }
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(error) => return Err(io::Error::other(error)),
                }
                if waiting.is_empty() {
                    return Ok(());
                }
            }
            if clock::now() > end {
                return Err(io::Error::other(format!("{} devices are not acknowledged", waiting.len())));
            }
        }
        Ok(())
    }

    fn publish(&self, member: &Member) -> io::Result<()> {
        for message in member.messages().map_err(|error| io::Error::other(format!("{error:?}")))? {
            self.client
                .publish(member.topic("up"), QoS::AtLeastOnce, false, message)
                .map_err(io::Error::other)?;
        }
        Ok(())
    }
}

/// Hears acknowledgements until nobody wants them any more.
fn listen(mut connection: Connection, mut each: impl FnMut(String, Ack) -> bool) {
    for event in connection.iter() {
        let Ok(event) = event else { return };
        if let Event::Incoming(Incoming::Publish(publish)) = event
            && let Ok((Down::Ack(ack), _)) = message::decode::<Down>(&publish.payload)
            && !each(publish.topic, ack)
        {
            return;
        }
    }
}

/// A device that has one lane, and one line in it.
struct Member {
    id: DeviceId,
    run: RunId,
    heard: AckNumber,
}

impl Member {
    fn new(number: usize) -> Option<Self> {
        let id = DeviceId::new(&format!("device-{number:06}")).ok()?;
        Some(Self { id, run: RunId(1_000 + number as u64), heard: AckNumber::default() })
    }

    fn topic(&self, end: &str) -> String {
        format!("driftlog/v1/{:02x}/{}/{end}", self.id.shard(), self.id)
    }

    fn is_acknowledged(&self, ack: &Ack) -> bool {
        let places = ack.lanes.iter().flat_map(|lane| &lane.runs);
        places.filter(|place| place.run == self.run).any(|place| place.seq.0 > 0)
    }

    /// What it says: who it is, and once it has been answered its log.
    fn messages(&self) -> Result<Vec<Vec<u8>>, Misuse> {
        if self.heard == AckNumber::default() {
            return Ok(vec![encoded(&Up::Hello(self.hello()), &[])?]);
        }
        let start = ItemHeader::Start(Start { lane: Lane::Bulk, run: self.run, parent: Place::ORIGIN });
        let sealed = sealed(&start, &[])?;
        let (header, payload) = block(start.end(&sealed))?;
        let told = Told { heard: self.heard, run: self.run, base: Place::ORIGIN };
        let first = Item { session: SessionId(1), reading: reading(), told: Some(told) };
        let second = Item { told: None, ..first };
        let block = self::sealed(&ItemHeader::Block(header), &payload)?;
        Ok(vec![encoded(&Up::Item(first), &sealed)?, encoded(&Up::Item(second), &block)?])
    }

    fn hello(&self) -> Hello {
        let lane = HelloLane { lane: Lane::Bulk, run: self.run, base: Place::ORIGIN, next: Place::ORIGIN };
        Hello {
            protocol_min: 1,
            protocol_max: 1,
            agent: Default::default(),
            session: SessionId(1),
            boot: BootId([3; 16]),
            reading: reading(),
            heard: self.heard,
            hardware_changed: false,
            labels: Labels::default(),
            lanes: [lane].into_iter().collect(),
        }
    }
}

fn reading() -> Reading {
    Reading { mono: Mono(2_000), wall: Unix(0), clock: ClockState::Unset, returned: None }
}

/// A block of one line at this place.
fn block(at: Place) -> Result<(BlockHeader, Vec<u8>), Misuse> {
    let full = |_| Misuse::Limit("RAW_BYTES_MAX");
    let mut packer = Packer::new(vec![0; WORKSPACE_BYTES])?;
    packer.open(Mono(1_000));
    let source = packer.source(&Source { path: b"/var/log/app.log", file: 1 }).map_err(full)?;
    let record = Record {
        mono: Mono(1_000),
        severity: Severity::UNSPECIFIED,
        source,
        offset: 0,
        ending: Ending::Newline,
        part: Part::Whole,
        cut: false,
        format: Format::Raw,
        body: b"one line",
    };
    packer.push(&record).map_err(full)?;
    let mut payload = vec![0; PAYLOAD_BYTES_MAX];
    let packed = packer.pack(Codec::Stored, &mut Stored, &mut payload)?;
    payload.truncate(packed.bytes);
    let header = BlockHeader {
        lane: Lane::Bulk,
        run: at.run,
        first: at.seq,
        prev: at.chain,
        count: 1,
        boot: BootId([3; 16]),
        mono: Mono(1_000),
        span_ns: 0,
        wall: Unix(0),
        clock: ClockState::Unset,
        codec: packed.codec.number(),
        raw_bytes: packed.raw_bytes,
    };
    Ok((header, payload))
}

/// A block of one line is stored as it is.
struct Stored;

impl Compress for Stored {
    fn compress(&mut self, _: Frame, _: &[&[u8]], _: &mut [u8]) -> Option<usize> {
        None
    }
}

fn sealed(header: &ItemHeader, payload: &[u8]) -> Result<Vec<u8>, Misuse> {
    let mut out = vec![0; ITEM_BYTES_MAX];
    let length = item::seal(header, payload, &mut out)?;
    out.truncate(length);
    Ok(out)
}

fn encoded(up: &Up, tail: &[u8]) -> Result<Vec<u8>, Misuse> {
    let mut out = vec![0; tail.len() + ENVELOPE_BYTES_MAX];
    let length = message::encode(up, tail, &mut out)?;
    out.truncate(length);
    Ok(out)
}
