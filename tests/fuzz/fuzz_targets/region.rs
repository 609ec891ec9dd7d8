//! The gateway's core with its archive and ledger, two hostile devices and an honest one: each byte
//! is an operation. Hostile are bytes, topics, numbers, chains, echoes and clocks; the disk fills up,
//! fails, and the gateway is killed.
//!
//! Asserts that
//! - every line of the archive is a document, no identity stands twice, and each run is in order and
//!   without a hole, whoever it is from;
//! - items in memory stay within the budget and its overdraft;
//! - a message to a device is one, and is for a device that spoke;
//! - whatever the others do, all of the honest device's records arrive.
#![no_main]

use driftlog_fuzz::histories;
use driftlog_fuzz::input::Input;
use driftlog_fuzz::liar::Liar;
use driftlog_fuzz::{mend, packed};
use driftlog_gateway::config::DevicesConfig;
use driftlog_gateway::ledger::memory::MemoryLedger;
use driftlog_gateway::region::{Keeping, OVERDRAFT, Region, RegionConfig, SinkRole};
use driftlog_gateway::sink::archive::simulated::{Faults, SimDirectory};
use driftlog_gateway::sink::archive::state::{ARCHIVE, ArchiveId};
use driftlog_gateway::sink::archive::{Archive, ArchiveConfig};
use driftlog_gateway::sink::commit;
use driftlog_proto::block::{Codec, Reference};
use driftlog_proto::ids::{AckNumber, BootId, Chain, DeviceId, Lane, Place, RunId, Seq, SessionId};
use driftlog_proto::item::{self, ItemHeader, Start};
use driftlog_proto::message::{
    Ack, Ask, Beat, Down, Hello, HelloLane, Item, Reading, Returned, Told, Up, decode, encode,
};
use driftlog_proto::time::{ClockState, Mono, Now, Unix};
use libfuzzer_sys::fuzz_target;

const OPERATIONS_MAX: usize = 150;
/// Rounds in which everything honest must come through at the end.
const ROUNDS_MAX: usize = 12;
const MEMORY_BYTES_MAX: u64 = 16 * 1024;
/// Bytes of one item at most.
const ITEM_BYTES_MAX: u64 = 2 * 1024;
const LIARS: [&str; 2] = ["liar-1", "liar-2"];
const HONEST: &str = "honest";

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let mut shore = Shore::new();
    for _ in 0..OPERATIONS_MAX {
        if input.is_empty() {
            break;
        }
        shore.step(&mut input);
    }
    shore.finish();
});

struct Shore {
    region: Region<MemoryLedger>,
    archive: Archive,
    ledger: MemoryLedger,
    directory: SimDirectory,
    faults: Faults,
    now: Now,
    liars: [Liar; 2],
    honest: Honest,
    /// The newest `Ack` that anybody was told.
    issued: AckNumber,
}

fn config() -> RegionConfig {
    RegionConfig {
        sinks: vec![SinkRole { name: ARCHIVE.to_owned(), is_required: true, keeping: Keeping::WithLedger }],
        memory_bytes_max: MEMORY_BYTES_MAX,
        credit_bytes_max: MEMORY_BYTES_MAX / 2,
        message_rate_max: 1_000_000,
        devices: DevicesConfig::default(),
    }
}

fn archive(directory: &SimDirectory, ledger: &mut MemoryLedger) -> Archive {
    let config = ArchiveConfig { file_bytes_max: 64 * 1024, compress: false, ..ArchiveConfig::default() };
    Archive::open(Box::new(directory.clone()), config, ledger, ArchiveId([7; 16]))
        .expect("an archive opens again")
}

impl Shore {
    fn new() -> Self {
        let faults = Faults::default();
        let mut ledger = MemoryLedger::with_faults(faults.clone());
        let directory = SimDirectory::with_faults(faults.clone());
        let wall = Unix(1_700_000_000_000_000_000);
        let now = Now { mono: Mono(5_000_000_000), wall, state: ClockState::Synchronised };
        Self {
            archive: archive(&directory, &mut ledger),
            region: Region::open(config(), ledger.clone(), Vec::new(), now).expect("an empty ledger"),
            ledger,
            directory,
            faults,
            now,
            liars: Default::default(),
            honest: Honest::default(),
            issued: AckNumber::default(),
        }
    }

    fn pass(&mut self, ms: u64) {
        self.now.mono = self.now.mono.plus_ms(ms);
        self.now.wall.0 += ms.cast_signed() * 1_000_000;
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.below(16) {
            0..=5 => self.lie(input),
            6 => self.noise(input),
            7 => self.honest.seal(1 + input.below(4)),
            8 => self.hear_honest(),
            9..=10 => self.commit(),
            11 => self.answer(),
            12 => self.pass(u64::from(input.byte()) * 100),
            13 => {
                let space = if input.flag() { None } else { Some(input.number()) };
                self.faults.space(space);
                self.faults.sync_fails(input.flag());
            }
            14 => self.faults.crash_at(Some(input.below(8) as u64)),
            _ => self.restart(),
        }
        self.judge_memory();
    }

    fn lie(&mut self, input: &mut Input<'_>) {
        let who = input.below(LIARS.len());
        let lane = Lane::ALL[input.below(2)];
        let session = SessionId(u64::from(input.byte() & 3));
        let reading = self.reading(input);
        let liar = &mut self.liars[who];
        let mut tail = Vec::new();
        let up = match input.below(9) {
            0 => {
                let boot = BootId([input.byte() & 3; 16]);
                let heard = liar.heard(self.issued, input);
                let Some(lane) = liar.lane(lane, input) else { return };
                Up::Hello(hello(session, boot, reading, heard, lane, input.flag()))
            }
            1 => {
                let (uptime_ms, memory_bytes, lines_cut) = (input.number(), input.number(), input.number());
                Up::Beat(Beat { session, reading, uptime_ms, memory_bytes, lines_cut, lanes: [].into() })
            }
            2 => {
                let Some((header, end)) = liar.item(lane, input) else { return };
                let (_, seq) = header.name();
                let reference = Reference { seq, count: 1 + input.below(3) as u8, checksum: input.number() as u32 };
                Up::Gone(Ask { lane, run: end.run, reference })
            }
            _ => {
                let Some((header, _)) = liar.item(lane, input) else { return };
                let mut payload =
                    vec![b'x'; if matches!(header, ItemHeader::Block(_)) { input.byte().into() } else { 0 }];
                // As a block that refers to others begins.
                let reference = [1 + input.byte() % 8, 1 + input.byte() % 3];
                payload.iter_mut().zip(reference).for_each(|(to, byte)| *to = byte);
                tail = vec![0; payload.len() + 256];
                let length = item::seal(&header, &payload, &mut tail).expect("it was sealed before");
                tail.truncate(length);
                let end = header.end(&tail);
                liar.remember(end, input);
                Up::Item(Item { session, reading, told: liar.told(end.run, self.issued, input) })
            }
        };
        self.hear(LIARS[who], &up, &tail);
    }

    fn reading(&self, input: &mut Input<'_>) -> Reading {
        let mono = Mono(if input.flag() { self.now.mono.0 } else { input.number() });
        let wall = Unix(if input.flag() { self.now.wall.0 } else { input.number().cast_signed() });
        let returned = (input.byte() < 64).then(|| Returned {
            number: self.issued,
            sent: Unix(self.now.wall.0.wrapping_sub(input.number().cast_signed())),
            heard: Mono(mono.0.wrapping_sub(input.number())),
        });
        Reading { mono, wall, clock: ClockState::Unsynchronised, returned }
    }

    /// Bytes on some topic.
    fn noise(&mut self, input: &mut Input<'_>) {
        let id = DeviceId::new(LIARS[0]).expect("a device id");
        let bytes = match input.below(3) {
            0 => input.chunk().to_vec(),
            _ => mend::message::<Up>(input.chunk()),
        };
        let topic = match input.below(4) {
            0 => String::from_utf8_lossy(input.take(40)).into_owned(),
            _ => format!("driftlog/v1/{:02x}/{id}/up", id.shard()),
        };
        self.region.handle_up(self.now, &topic, &bytes);
    }

    fn hear(&mut self, id: &str, up: &Up, tail: &[u8]) {
        let id = DeviceId::new(id).expect("a device id");
        let mut bytes = vec![0; tail.len() + 1024];
        let length = encode(up, tail, &mut bytes).expect("a message fits");
        let topic = format!("driftlog/v1/{:02x}/{id}/up", id.shard());
        self.region.handle_up(self.now, &topic, &bytes[..length]);
    }

    fn hear_honest(&mut self) {
        let reading = Reading {
            mono: self.now.mono,
            wall: self.now.wall,
            clock: ClockState::Synchronised,
            returned: None,
        };
        for (up, tail) in self.honest.speak(reading) {
            self.hear(HONEST, &up, &tail);
        }
    }

    fn commit(&mut self) {
        let Some(batch) = self.region.poll_batch(self.now) else { return };
        let outcome = commit::commit(&mut self.archive, &mut self.ledger, &batch);
        let is_in_doubt = matches!(outcome, Err(driftlog_gateway::sink::CommitError::InDoubt(_)));
        if is_in_doubt {
            self.restart();
        } else {
            self.region.handle_committed(self.now, batch.number, &outcome);
        }
    }

    /// The gateway is killed, or reads its ledger afresh.
    fn restart(&mut self) {
        self.faults.crash_at(None);
        self.faults.space(None);
        self.faults.sync_fails(false);
        self.archive = archive(&self.directory, &mut self.ledger);
        self.region =
            Region::open(config(), self.ledger.clone(), Vec::new(), self.now).expect("a sound ledger");
    }

    fn answer(&mut self) {
        while let Some((id, _, bytes)) = self.region.poll_down(self.now) {
            assert!(id.as_str() == HONEST || LIARS.contains(&id.as_str()), "{id} never spoke");
            let (down, _) = decode::<Down>(&bytes).expect("what a gateway says is a message");
            if let Down::Ack(ack) = down {
                self.issued = self.issued.max(ack.number);
                if id.as_str() == HONEST {
                    self.honest.hear(&ack);
                }
            }
        }
    }

    fn judge_memory(&mut self) {
        let mut metrics = String::new();
        self.region.metrics(&mut metrics, self.now).expect("a string takes everything");
        let name = "driftlog_gateway_items_memory_bytes ";
        let bytes = metrics.lines().find_map(|line| line.strip_prefix(name)?.parse::<u64>().ok());
        let bytes = bytes.expect("the region says what it holds");
        assert!(bytes <= MEMORY_BYTES_MAX * OVERDRAFT + ITEM_BYTES_MAX, "{bytes} bytes of items in memory");
        assert!(self.region.status(self.now).devices.len() <= 1 + LIARS.len());
    }

    /// Nothing fails any longer: everything honest arrives, and what arrived is in order.
    fn finish(&mut self) {
        self.restart();
        self.honest.seal(3);
        for _ in 0..ROUNDS_MAX {
            self.hear_honest();
            while self.region.poll_batch(self.now).map(|batch| self.take(&batch)).is_some() {}
            self.pass(1_000);
            self.answer();
        }
        let documents = histories::documents(&self.directory);
        let ends = histories::judge(&documents);
        assert!(self.honest.items.is_empty(), "the honest device is stuck at {}", self.honest.base);
        let honest = (DeviceId::new(HONEST).expect("a device id"), Lane::Bulk);
        let end = ends.get(&honest).and_then(|runs| runs.get(&self.honest.tip.run));
        assert_eq!(end, Some(&self.honest.tip.seq), "of the honest device");
    }

    fn take(&mut self, batch: &driftlog_gateway::sink::Batch) {
        let outcome = commit::commit(&mut self.archive, &mut self.ledger, batch);
        assert!(outcome.is_ok(), "{outcome:?}");
        self.region.handle_committed(self.now, batch.number, &outcome);
    }
}

fn hello(
    session: SessionId,
    boot: BootId,
    reading: Reading,
    heard: AckNumber,
    lane: HelloLane,
    hardware_changed: bool,
) -> Hello {
    Hello {
        protocol_min: 1,
        protocol_max: 1,
        agent: "fuzz".try_into().expect("a short text"),
        session,
        boot,
        reading,
        heard,
        hardware_changed,
        labels: [].into_iter().collect(),
        lanes: [lane].into_iter().collect(),
    }
}

/// A device of one run that sends again what is not acknowledged.
struct Honest {
    /// What is not acknowledged: its end and its sealed bytes.
    items: Vec<(Place, Vec<u8>)>,
    base: Place,
    tip: Place,
    heard: AckNumber,
}

impl Default for Honest {
    fn default() -> Self {
        let start = ItemHeader::Start(Start { lane: Lane::Bulk, run: RunId(77), parent: Place::ORIGIN });
        let mut sealed = vec![0; 128];
        let length = item::seal(&start, &[], &mut sealed).expect("a start fits");
        sealed.truncate(length);
        let tip = start.end(&sealed);
        Self { items: vec![(tip, sealed)], base: Place::ORIGIN, tip, heard: AckNumber::default() }
    }
}

impl Honest {
    fn seal(&mut self, lines: usize) {
        if self.items.len() >= 16 {
            return;
        }
        let lines: Vec<&[u8]> = vec![b"a line of an honest device"; lines];
        let sealed = packed::block(self.tip, Codec::Zstd, &lines);
        let seq = Seq(self.tip.seq.0 + lines.len() as u64);
        self.tip = Place { run: self.tip.run, seq, chain: Chain::after(&sealed) };
        self.items.push((self.tip, sealed));
    }

    fn speak(&self, reading: Reading) -> Vec<(Up, Vec<u8>)> {
        let session = SessionId(9);
        let lane = HelloLane { lane: Lane::Bulk, run: RunId(77), base: self.base, next: self.tip };
        let hello = hello(session, BootId([1; 16]), reading, self.heard, lane, false);
        let told = Told { heard: self.heard, run: RunId(77), base: self.base };
        let item = |(_, sealed): &(Place, Vec<u8>)| {
            (Up::Item(Item { session, reading, told: Some(told) }), sealed.clone())
        };
        std::iter::once((Up::Hello(hello), Vec::new())).chain(self.items.iter().map(item)).collect()
    }

    fn hear(&mut self, ack: &Ack) {
        self.heard = self.heard.max(ack.number);
        for place in ack.lanes.iter().flat_map(|lane| &lane.runs) {
            if let Some(at) = self.items.iter().position(|(end, _)| end == place) {
                self.items.drain(..=at);
                self.base = *place;
            } else {
                assert!(
                    *place == self.base || place.seq < self.base.seq,
                    "{place} is not the honest device's"
                );
            }
        }
    }
}
