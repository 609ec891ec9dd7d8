//! `spool inspect`, `spool verify` and `spool export` on files of any bytes.
//!
//! Asserts that none of them writes to the disk; that records which are whole, declared gone and
//! damaged add up to those between base and end, in `verify` and in `export` alike; that progress
//! ends where it said; that each line of NDJSON is an object, as many as were counted; and that
//! memory is bounded.
#![no_main]

use driftlog_agent::decompress::Zstd;
use driftlog_agent::spool::disk::SimDisk;
use driftlog_agent::spool::offline::{ExportFormat, Exported, Offline, Progress};
use driftlog_fuzz::input::Input;
use driftlog_fuzz::{memory, segments};
use libfuzzer_sys::fuzz_target;

/// The scratch room for one block, one item, recovery, and what is written out.
const BYTES_MAX: usize = 8 * 1024 * 1024;

fuzz_target!(|data: &[u8]| {
    let disk = segments::disk(&mut Input::new(data));
    let operations = disk.stats().operations;
    memory::within(BYTES_MAX, "reading a spool", || {
        let Ok(mut offline) = Offline::new(disk) else { return };
        let inspection = offline.inspect("fuzz");
        let shown = serde_json::to_string(&inspection).expect("an inspection is JSON");
        assert!(!shown.is_empty() && !inspection.to_string().is_empty());
        let total = inspection.next.seq.saturating_sub(inspection.base.seq);

        let mut last = Progress { done: 0, total };
        let verified = offline.verify(&mut |progress| last = progress);
        assert_eq!((last.done, last.total), (total, total), "the end of verifying");
        let gone: u64 = verified.gaps.iter().map(|gap| gap.records).sum();
        let damaged: u64 = verified.damaged.iter().map(|damage| damage.records).sum();
        assert_eq!(verified.records + gone + damaged, total, "{verified}");

        let (text, as_text) = export(&mut offline, ExportFormat::Text);
        let (ndjson, exported) = export(&mut offline, ExportFormat::Ndjson);
        assert_eq!(as_text, exported, "text and NDJSON differ");
        assert!(text.is_empty() || text.ends_with(b"\n"), "an unfinished line");
        let Exported { records, gone, damaged, not_unpacked } = exported;
        assert_eq!(records + gone + damaged + not_unpacked, total, "{exported:?}");
        let lines: Vec<serde_json::Value> = ndjson
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).expect("each line is JSON"))
            .collect();
        let of_records = lines.iter().filter(|line| line.get("body").is_some()).count();
        assert_eq!(of_records as u64, records, "{exported:?}");
        assert_eq!(offline.into_disk().stats().operations, operations, "something was written");
    });
});

fn export(offline: &mut Offline<SimDisk>, format: ExportFormat) -> (Vec<u8>, Exported) {
    let mut out = Vec::new();
    let exported = offline.export(format, &mut Zstd::new(), &mut out, &mut |_| ());
    (out, exported.expect("a vector takes everything"))
}
