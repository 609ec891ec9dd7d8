//! What a device says, decoded. Beside what [`judge`] asserts: only an item has a tail.
#![no_main]

use driftlog_fuzz::message::judge;
use driftlog_proto::message::Up;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some((up, tail)) = judge::<Up>(data) {
        assert!(tail.is_empty() || matches!(up, Up::Item(_)), "a tail behind {up:?}");
    }
});
