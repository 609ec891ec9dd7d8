//! What a sealed block says about the times of its records, and what is answered when the gateway asks.

use driftlog_proto::block::{Codec, Reference};
use driftlog_proto::ids::{AckNumber, BootId, DeviceId, Lane, RunId, SessionId};
use driftlog_proto::item::{self, BlockHeader, ItemHeader};
use driftlog_proto::limits::MESSAGE_BYTES_MAX;
use driftlog_proto::message::{self, Ack, Ask, Down, Echo, Labels, Up};
use driftlog_proto::time::{ClockState, Mono, Now, Unix};

use super::{Cpu, Pipeline, PipelineConfig};
use crate::source::{FileSource, Patterns, SimFiles, Sources, SourcesConfig};
use crate::spool::disk::SimDisk;
use crate::spool::{Spool, SpoolConfig};

const SECOND: u64 = 1_000_000_000;
const PATH: &str = "/log/a.log";
const OTHER_PATH: &str = "/log/b.log";

/// An agent that is not connected: it seals after ten seconds.
fn offline(files: &SimFiles, now: Now) -> Pipeline<SimDisk, SimFiles> {
    let patterns = Patterns::new(&[PATH, OTHER_PATH], &[]).unwrap();
    let sources = SourcesConfig {
        files: vec![FileSource { patterns, idle_line_ms: 5_000 }],
        stdin_idle_line_ms: None,
        poll_ms: 1_000,
        rescan_ms: 10_000,
    };
    let config = PipelineConfig {
        device: DeviceId::new("pump-7").unwrap(),
        labels: Labels::default(),
        boot: BootId([1; 16]),
        delay_ms_min: 1_000,
        delay_ms_max: 5_000,
        delay_offline_ms_max: 10_000,
        in_flight_bytes_max: 256 * 1024,
        urgent_min: None,
        cpu: Cpu::Normal,
    };
    let spool = Spool::open(SimDisk::new(1), SpoolConfig::new(Lane::Bulk, 1024 * 1024), RunId(1), 7).unwrap();
    let sources = Sources::new(sources, files.clone(), config.boot, std::iter::empty());
    Pipeline::new(config, sources, spool, None, now)
}

/// So many seconds after the boot the wall clock shows this.
fn at(seconds: u64, wall: i64, state: ClockState) -> Now {
    Now { mono: Mono(seconds * SECOND), wall: Unix(wall), state }
}

/// Polled until nothing more is at hand: what is looked at in one poll is given out in the next.
fn settle(pipeline: &mut Pipeline<SimDisk, SimFiles>, now: Now) {
    for _ in 0..4 {
        pipeline.poll(now);
    }
}

/// The gateway answers it.
fn connect(pipeline: &mut Pipeline<SimDisk, SimFiles>, now: Now) {
    let session = SessionId(1);
    pipeline.handle_link_up(now, session);
    assert!(pipeline.poll_publish(now, &mut Vec::new()), "it greets");
    let echo = Echo { session, mono: now.mono, received: now.wall };
    let number = AckNumber { generation: 1, counter: 1 };
    let ack = Ack { number, sent: now.wall, echo: Some(echo), lanes: heapless::Vec::new() };
    let mut bytes = vec![0; MESSAGE_BYTES_MAX];
    let length = message::encode(&Down::Ack(ack), &[], &mut bytes).unwrap();
    pipeline.handle_down(now, &bytes[..length]);
}

/// What the blocks in the spool say, oldest first.
fn sealed(pipeline: &mut Pipeline<SimDisk, SimFiles>) -> Vec<BlockHeader> {
    let spool = &mut pipeline.lanes[0].spool;
    let (mut headers, mut place, mut bytes) = (Vec::new(), spool.base(), Vec::new());
    while let Some(item) = spool.item_at(&place).unwrap() {
        spool.read(&item, &mut bytes).unwrap();
        if let (ItemHeader::Block(header), _) = item::open(&bytes).unwrap() {
            headers.push(header);
        }
        place = item.end;
    }
    headers
}

#[test]
fn a_block_states_the_clocks_at_its_first_record_and_how_much_later_its_last_one_was_read() {
    let files = SimFiles::default();
    files.append(PATH, b"one\n");
    let mut pipeline = offline(&files, at(100, 5, ClockState::Unset));
    settle(&mut pipeline, at(100, 7, ClockState::Unset));
    files.append(PATH, b"two\n");
    // The clock is set in between, and once more before the block is sealed.
    settle(&mut pipeline, at(103, 1_700 << 30, ClockState::Synchronised));
    assert!(sealed(&mut pipeline).is_empty());
    settle(&mut pipeline, at(111, 1_800 << 30, ClockState::Unsynchronised));
    // The next block begins with a later line.
    files.append(PATH, b"three\n");
    settle(&mut pipeline, at(120, 1_900 << 30, ClockState::Unsynchronised));
    pipeline.stop(at(125, 0, ClockState::Unset));
    let told: Vec<_> = sealed(&mut pipeline)
        .iter()
        .map(|block| (block.count, block.mono.0 / SECOND, block.span_ns / SECOND, block.wall.0, block.clock))
        .collect();
    let expected = [(2, 100, 3, 7, ClockState::Unset), (1, 120, 0, 1_900 << 30, ClockState::Unsynchronised)];
    assert_eq!(told, expected);
}

fn say(pipeline: &mut Pipeline<SimDisk, SimFiles>, now: Now, down: &Down) {
    let mut bytes = vec![0; MESSAGE_BYTES_MAX];
    let length = message::encode(down, &[], &mut bytes).unwrap();
    pipeline.handle_down(now, &bytes[..length]);
}

/// The next message, with its tail.
fn next(pipeline: &mut Pipeline<SimDisk, SimFiles>, now: Now) -> Option<(Up, Vec<u8>)> {
    let mut out = Vec::new();
    pipeline.poll_publish(now, &mut out).then(|| {
        let (up, tail) = message::decode::<Up>(&out).unwrap();
        (up, tail.to_vec())
    })
}

#[test]
fn the_gateway_is_given_what_it_asks_for_or_told_that_it_is_gone() {
    let files = SimFiles::default();
    let mut pipeline = offline(&files, at(100, 0, ClockState::Unset));
    for round in 0..6u64 {
        let lines = (0..400).map(|n| format!("pump {} of 7 reports {}\n", n % 9, n * round * 37 % 1013));
        files.append(PATH, lines.collect::<String>().as_bytes());
        settle(&mut pipeline, at(110 + 20 * round, 0, ClockState::Unset));
        settle(&mut pipeline, at(125 + 20 * round, 0, ClockState::Unset));
    }
    let (run, spool) = (RunId(1), &mut pipeline.lanes[0].spool);
    let (mut place, mut blocks, mut bytes) = (spool.base(), Vec::new(), Vec::new());
    while let Some(item) = spool.item_at(&place).unwrap() {
        spool.read(&item, &mut bytes).unwrap();
        blocks.push(bytes.clone());
        place = item.end;
    }
    let last = blocks.last().unwrap();
    let (ItemHeader::Block(header), payload) = item::open(last).unwrap() else { panic!("not a block") };
    assert_eq!(header.codec, Codec::Referring.number());
    let reference = Reference::of(&header, payload).unwrap().unwrap();

    let now = at(300, 0, ClockState::Unset);
    pipeline.handle_link_up(now, SessionId(5));
    assert!(matches!(next(&mut pipeline, now), Some((Up::Hello(_), _))));
    let ask = Ask { lane: Lane::Bulk, run, reference };
    say(&mut pipeline, now, &Down::Ask(ask));
    let referred = pipeline.lanes[0].spool.referred(run, &reference).unwrap().unwrap();
    assert!(reference.is_met_by(run, &referred));
    for block in &referred {
        let (up, tail) = next(&mut pipeline, now).unwrap();
        assert!(matches!(up, Up::Item(item) if item.told.is_none()), "{up:?}");
        assert_eq!(&tail, block);
    }
    let unknown = Ask { reference: Reference { checksum: reference.checksum ^ 1, ..reference }, ..ask };
    say(&mut pipeline, now, &Down::Ask(unknown));
    assert_eq!(next(&mut pipeline, now), Some((Up::Gone(unknown), Vec::new())));
    // What is not sent in this connection is not sent in the next one.
    say(&mut pipeline, now, &Down::Ask(unknown));
    pipeline.handle_link_down();
    pipeline.handle_link_up(now, SessionId(6));
    while let Some((up, _)) = next(&mut pipeline, now) {
        assert!(!matches!(up, Up::Gone(_)), "{up:?}");
    }
    // Of a lane that there is not, and of a run that it never had, it knows nothing.
    say(&mut pipeline, now, &Down::Ask(Ask { run: RunId(77), ..ask }));
    assert_eq!(next(&mut pipeline, now), None);
    say(&mut pipeline, now, &Down::Ask(Ask { lane: Lane::Urgent, ..ask }));
    assert_eq!(next(&mut pipeline, now), None);
}

#[test]
fn connected_a_lone_line_is_sealed_after_a_second_and_a_flow_of_lines_ever_later_up_to_five() {
    let files = SimFiles::default();
    let on = |seconds| at(seconds, 5, ClockState::Synchronised);
    let mut pipeline = offline(&files, on(100));
    connect(&mut pipeline, on(100));
    for second in 101..=122 {
        files.append(PATH, b"again\n");
        settle(&mut pipeline, on(second));
    }
    settle(&mut pipeline, on(123));
    files.append(PATH, b"alone\n");
    settle(&mut pipeline, on(140));
    settle(&mut pipeline, on(141));
    let told: Vec<_> = sealed(&mut pipeline)
        .iter()
        .map(|block| (block.mono.0 / SECOND, block.count, block.span_ns / SECOND))
        .collect();
    // What is due is sealed before the line of that second is read.
    let flow = [(101, 1, 0), (102, 2, 1), (104, 4, 3), (108, 5, 4), (113, 5, 4), (118, 5, 4)];
    assert_eq!(told, [&flow[..], &[(140, 1, 0)]].concat());
}

#[test]
fn the_status_says_for_each_source_what_became_of_its_lines() {
    let files = SimFiles::default();
    let mut pipeline = offline(&files, at(100, 0, ClockState::Unset));
    for (path, count) in [(PATH, 300), (OTHER_PATH, 100)] {
        files.append(path, "the same line once more\n".repeat(count).as_bytes());
    }
    settle(&mut pipeline, at(110, 0, ClockState::Unset));
    settle(&mut pipeline, at(130, 0, ClockState::Unset));
    let status = pipeline.status(at(131, 0, ClockState::Unset));
    let sources: Vec<_> =
        status.sources.iter().map(|source| (source.body_bytes, source.packed_bytes)).collect();
    let [lane] = status.lanes.as_slice() else { panic!("{:?}", status.lanes) };
    assert_eq!((lane.blocks["zstd"] + lane.blocks["strong"], lane.body_bytes), (1, 400 * 23));
    assert_eq!(sources, [(300 * 23, lane.packed_bytes * 3 / 4), (100 * 23, lane.packed_bytes / 4)]);
}
