//! What a gateway says, decoded. Beside what [`judge`] asserts: nothing has a tail, and each lane is
//! named once.
#![no_main]

use driftlog_fuzz::message::judge;
use driftlog_proto::message::Down;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((down, tail)) = judge::<Down>(data) else { return };
    assert!(tail.is_empty(), "a tail behind {down:?}");
    if let Down::Ack(ack) = down {
        let lanes: Vec<_> = ack.lanes.iter().map(|lane| lane.lane).collect();
        assert!(lanes.len() < 2 || lanes[0] != lanes[1], "{lanes:?}");
    }
});
