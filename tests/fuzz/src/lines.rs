//! The judge of the documents that the gateway makes of a block.

use std::sync::Arc;

use driftlog_gateway::sink::ecs::Documents;
use driftlog_gateway::sink::ecs::document::{Document, Fact, Outline};
use driftlog_gateway::sink::{Entry, Labels, What};
use driftlog_proto::block::{Record, Source};
use driftlog_proto::clock::{Basis, Line};
use driftlog_proto::ids::{DeviceId, Place};
use driftlog_proto::item::{self, BlockHeader, ItemHeader};
use driftlog_proto::limits::ITEM_BYTES_MAX;
use driftlog_proto::time::Unix;

/// Asserts that a block becomes one line of JSON for each record, in order, under its number, with
/// its body bit for bit and its path.
///
/// # Panics
/// When it does not.
pub fn judge(
    header: &BlockHeader,
    payload: &[u8],
    refers_to: &[&[u8]],
    records: &[Record<'_>],
    sources: &[Source<'_>],
) {
    let item = ItemHeader::Block(*header);
    let mut sealed = vec![0; ITEM_BYTES_MAX];
    // Columns that are longer than an item may be never came in one.
    let Ok(length) = item::seal(&item, payload, &mut sealed) else { return };
    sealed.truncate(length);
    let end = item.end(&sealed);
    let mut out = Vec::new();
    Documents::new().write(&entry(header, end, &sealed, refers_to), &mut out);
    let mut lines = out.split_inclusive(|byte| *byte == b'\n');
    for (seq, record) in (header.first.0..).zip(records) {
        let line = lines.next().expect("a line for each record");
        let outline = Outline::parse(line).expect("a document");
        assert_eq!((outline.run, outline.seq.0, outline.fact), (header.run, seq, Fact::Record));
        let document: Document<'_> = serde_json::from_slice(line).expect("a document");
        assert_eq!(document.body().as_deref(), Some(record.body), "another body");
        let path = String::from_utf8_lossy(sources[usize::from(record.source)].path);
        assert_eq!(document.log.file.expect("a path").path, path);
        assert!(document.timestamp.ends_with('Z'), "{}", document.timestamp);
    }
    assert_eq!(lines.next(), None, "a line that no record is in");
}

fn entry(header: &BlockHeader, end: Place, sealed: &[u8], refers_to: &[&[u8]]) -> Entry {
    let refers_to = refers_to.iter().map(|block| Arc::from(*block)).collect();
    let clock = Line {
        at: header.mono,
        time: header.wall,
        rate_ppb: 0,
        bound_ns: header.span_ns,
        basis: Basis::Measured,
    };
    Entry {
        device: DeviceId::new("fuzz").expect("a device id"),
        lane: header.lane,
        run: header.run,
        end,
        received: Unix(0),
        labels: Arc::new(Labels::default()),
        index: 0,
        what: What::Block { header: *header, sealed: Arc::from(sealed), refers_to, clock },
    }
}
