//! What stands in the ledger, of any bytes: lanes and clocks, decoded, and a gateway that goes on
//! with them.
//!
//! Asserts that what decodes encodes to something that decodes to the same; that decoding takes
//! bounded memory; and that a region which finds such a record goes on with it or
//! says that it is damaged.
#![no_main]

use driftlog_fuzz::input::Input;
use driftlog_fuzz::liar::Liar;
use driftlog_fuzz::memory;
use driftlog_gateway::config::DevicesConfig;
use driftlog_gateway::ledger::memory::MemoryLedger;
use driftlog_gateway::ledger::record::LaneRecord;
use driftlog_gateway::ledger::{Ledger, Write};
use driftlog_gateway::region::{Keeping, Region, RegionConfig, SINKS_KEY, SinkRole};
use driftlog_proto::clock::DeviceClock;
use driftlog_proto::ids::{AckNumber, DeviceId, Lane, SessionId};
use driftlog_proto::item;
use driftlog_proto::limits::MESSAGE_BYTES_MAX;
use driftlog_proto::message::{Item, Labels, Reading, Up, encode};
use driftlog_proto::time::{ClockState, Mono, Now, Unix};
use libfuzzer_sys::fuzz_target;

const MESSAGES_MAX: usize = 30;
/// What a list may announce before its first entry is read, and as much again.
const DECODED_BYTES_MAX: usize = 2 * 1024 * 1024;

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let (lane, clock) = (input.chunk(), input.chunk());
    if let Some(record) = memory::within(DECODED_BYTES_MAX, "decoding", || LaneRecord::decode(lane)) {
        assert_eq!(LaneRecord::decode(&record.encode()), Some(record), "not the same again");
    }
    if let Some(known) = DeviceClock::decode(clock) {
        let again = DeviceClock::decode(&known.encode()).expect("what was encoded decodes");
        assert_eq!(again.encode(), known.encode(), "not the same again");
    }
    go_on(lane, clock, &mut input);
});

/// A gateway finds these records and hears a device.
fn go_on(lane: &[u8], clock: &[u8], input: &mut Input<'_>) {
    let id = DeviceId::new("fuzz").expect("a device id");
    let mut ledger = MemoryLedger::default();
    // A device's record: its version, its clock, no labels.
    let device =
        postcard::to_extend(&(clock, Labels::default()), vec![1]).expect("a vector takes everything");
    let writes = [
        Write { key: SINKS_KEY.to_vec(), value: Some(b"archive".to_vec()) },
        Write { key: LaneRecord::key(&id, Lane::Bulk), value: Some(lane.to_vec()) },
        Write { key: format!("device/{id}").into_bytes(), value: (!clock.is_empty()).then_some(device) },
    ];
    ledger.commit(&writes).expect("a ledger in memory");
    let config = RegionConfig {
        sinks: vec![SinkRole { name: "archive".to_owned(), is_required: true, keeping: Keeping::WithLedger }],
        memory_bytes_max: 1 << 20,
        credit_bytes_max: 1 << 20,
        message_rate_max: 10_000,
        devices: DevicesConfig::default(),
    };
    let now = Now {
        mono: Mono(5_000_000_000),
        wall: Unix(1_700_000_000_000_000_000),
        state: ClockState::Synchronised,
    };
    let mut region = Region::open(config, ledger, Vec::new(), now).expect("a ledger without a generation");
    let mut liar = Liar::default();
    for _ in 0..MESSAGES_MAX {
        let Some((header, _)) = liar.item(Lane::Bulk, input) else { break };
        let mut sealed = [0; 256];
        let length = item::seal(&header, &[], &mut sealed).expect("it was sealed before");
        let sealed = &sealed[..length];
        liar.remember(header.end(sealed), input);
        let reading = Reading { mono: Mono(1), wall: Unix(1), clock: ClockState::Unset, returned: None };
        let told =
            liar.told(header.end(sealed).run, AckNumber { generation: 1_700_000_000_000, counter: 0 }, input);
        let mut message = vec![0; MESSAGE_BYTES_MAX];
        let up = Up::Item(Item { session: SessionId(1), reading, told });
        let length = encode(&up, sealed, &mut message).expect("a message fits");
        region.handle_up(now, &format!("driftlog/v1/{:02x}/{id}/up", id.shard()), &message[..length]);
        if let Some(batch) = region.poll_batch(now) {
            region.handle_committed(now, batch.number, &Ok(()));
        }
    }
}
