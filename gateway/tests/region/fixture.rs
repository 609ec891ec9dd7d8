//! A region on a ledger in memory, and devices that say what a test tells them to.

use driftlog_gateway::broker::Channel;
use driftlog_gateway::config::DevicesConfig;
use driftlog_gateway::ledger::Ledger;
use driftlog_gateway::ledger::memory::MemoryLedger;
use driftlog_gateway::region::{Keeping, Region, RegionConfig, SinkRole};
use driftlog_gateway::sink::Batch;
use driftlog_proto::block::Codec;
use driftlog_proto::ids::{AckNumber, BootId, Chain, DeviceId, Lane, Place, RunId, Seq, SessionId};
use driftlog_proto::item::{self, BlockHeader, Cause, Gap, GapStarts, ItemHeader, Start};
use driftlog_proto::message::{self, Ack, Down, Hello, HelloLane, Item, Reading, Told, Up};
use driftlog_proto::time::{ClockState, Mono, Now, Unix};

/// The region and what it has said.
pub(crate) struct Shore {
    pub(crate) region: Region<MemoryLedger>,
    pub(crate) ledger: MemoryLedger,
    /// The stores of sinks that are kept by themselves.
    pub(crate) stores: Vec<(usize, MemoryLedger)>,
    pub(crate) now: Now,
    pub(crate) config: RegionConfig,
}

pub(crate) fn role(name: &str, is_required: bool, keeping: Keeping) -> SinkRole {
    SinkRole { name: name.to_owned(), is_required, keeping }
}

fn opened(
    config: &RegionConfig,
    ledger: &MemoryLedger,
    stores: &[(usize, MemoryLedger)],
    now: Now,
) -> Region<MemoryLedger> {
    let boxed = |(at, store): &(usize, MemoryLedger)| -> (usize, Box<dyn Ledger + Send>) {
        (*at, Box::new(store.clone()))
    };
    Region::open(config.clone(), ledger.clone(), stores.iter().map(boxed).collect(), now).unwrap()
}

impl Shore {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut RegionConfig)) -> Self {
        let mut config = RegionConfig {
            sinks: vec![role("archive", true, Keeping::WithLedger)],
            memory_bytes_max: 1 << 20,
            credit_bytes_max: 1 << 18,
            message_rate_max: 10_000,
            devices: DevicesConfig::default(),
        };
        change(&mut config);
        let ledger = MemoryLedger::default();
        let now = Now {
            mono: Mono(5_000_000_000),
            wall: Unix(1_700_000_000_000_000_000),
            state: ClockState::Synchronised,
        };
        let own = config.sinks.iter().enumerate().filter(|(_, sink)| sink.keeping == Keeping::ByItself);
        let stores: Vec<_> = own.map(|(at, _)| (at, MemoryLedger::default())).collect();
        let region = opened(&config, &ledger, &stores, now);
        Self { region, ledger, stores, now, config }
    }

    /// The gateway is killed and starts again.
    pub(crate) fn restart(&mut self) {
        self.pass(1_000);
        self.region = opened(&self.config, &self.ledger, &self.stores, self.now);
    }

    pub(crate) fn pass(&mut self, ms: u64) {
        self.now.mono = self.now.mono.plus_ms(ms);
        self.now.wall.0 += ms as i64 * 1_000_000;
    }

    pub(crate) fn hear(&mut self, device: &Device, message: &[u8]) {
        let topic = format!("driftlog/v1/{:02x}/{}/up", device.id.shard(), device.id);
        self.region.handle_up(self.now, &topic, message);
    }

    pub(crate) fn batch(&mut self) -> Option<Batch> {
        self.region.poll_batch(self.now)
    }

    /// Commits everything that waits, as a sink and a ledger that work would.
    pub(crate) fn commit_all(&mut self) -> Vec<Batch> {
        let mut batches = Vec::new();
        while let Some(batch) = self.batch() {
            self.commit(&batch);
            if !batch.entries.is_empty() {
                batches.push(batch);
            }
        }
        batches
    }

    /// A batch becomes durable.
    pub(crate) fn commit(&mut self, batch: &Batch) {
        let own = self.stores.iter_mut().find(|(at, _)| *at == batch.sink).map(|(_, store)| store);
        own.unwrap_or(&mut self.ledger).commit(&batch.writes).unwrap();
        self.region.handle_committed(self.now, batch.number, &Ok(()));
    }

    /// What has been said to devices since it was asked last.
    pub(crate) fn said(&mut self) -> Vec<(DeviceId, Channel, Down)> {
        self.pass(30);
        let mut said = Vec::new();
        while let Some((id, channel, bytes)) = self.region.poll_down(self.now) {
            said.push((id, channel, message::decode::<Down>(&bytes).unwrap().0));
        }
        said
    }

    /// The newest `Ack` for a device.
    pub(crate) fn ack(&mut self, device: &mut Device) -> Ack {
        let said = self.said();
        let ack = said
            .into_iter()
            .rev()
            .find_map(|(id, channel, down)| match down {
                Down::Ack(ack) if id == device.id && channel == Channel::Ack => Some(ack),
                _ => None,
            })
            .expect("an Ack");
        device.heard = ack.number;
        ack
    }

    /// Greets, so that the device's next start is admitted.
    pub(crate) fn greet(&mut self, device: &mut Device) {
        let hello = device.hello();
        self.hear(device, &hello);
        self.ack(device);
    }
}

/// A device with one lane that says what it is told to.
pub(crate) struct Device {
    pub(crate) id: DeviceId,
    pub(crate) lane: Lane,
    pub(crate) run: RunId,
    pub(crate) tail: Place,
    pub(crate) base: Place,
    pub(crate) heard: AckNumber,
    pub(crate) session: SessionId,
    /// What its monotonic clock shows.
    pub(crate) mono: Mono,
    /// Its spool was written on other hardware.
    pub(crate) is_moved: bool,
}

impl Device {
    pub(crate) fn new(name: &str) -> Self {
        let id = DeviceId::new(name).unwrap();
        let run = RunId(name.bytes().fold(7, |sum, byte| sum * 31 + u64::from(byte)));
        let origin = Place::ORIGIN;
        Self {
            id,
            lane: Lane::Bulk,
            run,
            tail: origin,
            base: origin,
            heard: AckNumber::default(),
            session: SessionId(9),
            mono: Mono(2_000),
            is_moved: false,
        }
    }

    pub(crate) fn hello(&self) -> Vec<u8> {
        let lane = HelloLane { lane: self.lane, run: self.run, base: self.base, next: self.tail };
        encode(
            &Up::Hello(Hello {
                protocol_min: 1,
                protocol_max: 1,
                agent: "1.2.3".try_into().unwrap(),
                session: self.session,
                boot: BootId([3; 16]),
                reading: self.reading(),
                heard: self.heard,
                hardware_changed: self.is_moved,
                labels: [("site".try_into().unwrap(), "north".try_into().unwrap())].into_iter().collect(),
                lanes: [lane].into_iter().collect(),
            }),
            &[],
        )
    }

    /// Seals a start.
    pub(crate) fn start(&mut self) -> Vec<u8> {
        let header = ItemHeader::Start(Start { lane: self.lane, run: self.run, parent: self.tail });
        let sealed = self.seal(header, &[]);
        self.carry(&sealed)
    }

    /// Seals a block of `count` records with `bytes` of payload.
    pub(crate) fn block(&mut self, count: u32, bytes: usize) -> Vec<u8> {
        let sealed = self.sealed_block(count, bytes);
        self.carry(&sealed)
    }

    pub(crate) fn sealed_block(&mut self, count: u32, bytes: usize) -> Vec<u8> {
        self.sealed_payload(count, Codec::Stored, &vec![b'x'; bytes])
    }

    pub(crate) fn sealed_payload(&mut self, count: u32, codec: Codec, payload: &[u8]) -> Vec<u8> {
        let header = BlockHeader {
            lane: self.lane,
            run: self.run,
            first: self.tail.seq,
            prev: self.tail.chain,
            count,
            boot: BootId([3; 16]),
            mono: Mono(1_000),
            span_ns: 0,
            wall: Unix(0),
            clock: ClockState::Unset,
            codec: codec.number(),
            raw_bytes: payload.len() as u32,
        };
        self.seal(ItemHeader::Block(header), payload)
    }

    /// Declares `count` records gone.
    pub(crate) fn gap(&mut self, count: u64) -> Vec<u8> {
        let to = Place { run: self.run, seq: Seq(self.tail.seq.0 + count), chain: Chain(0x77) };
        let (lane, from, cause) = (self.lane, self.tail, Cause::Overflow);
        let sealed = self.seal(ItemHeader::Gap(Gap { lane, from, to, cause, starts: GapStarts::new() }), &[]);
        self.carry(&sealed)
    }

    fn seal(&mut self, header: ItemHeader, payload: &[u8]) -> Vec<u8> {
        let mut sealed = vec![0; payload.len() + 256];
        let len = item::seal(&header, payload, &mut sealed).unwrap();
        sealed.truncate(len);
        self.tail = header.end(&sealed);
        sealed
    }

    /// The message that carries a sealed item.
    pub(crate) fn carry(&self, sealed: &[u8]) -> Vec<u8> {
        let told = Told { heard: self.heard, run: self.run, base: self.base };
        let (session, reading) = (self.session, self.reading());
        encode(&Up::Item(Item { session, reading, told: Some(told) }), sealed)
    }

    fn reading(&self) -> Reading {
        Reading { mono: self.mono, wall: Unix(0), clock: ClockState::Unset, returned: None }
    }
}

pub(crate) fn encode(up: &Up, sealed: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; sealed.len() + 4096];
    let len = message::encode(up, sealed, &mut bytes).unwrap();
    bytes.truncate(len);
    bytes
}
