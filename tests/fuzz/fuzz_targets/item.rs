//! A sealed item, opened: bytes as they are (first byte odd) or with the right checksum (even).
//!
//! Asserts that opening takes no memory; that what opens has numbers within their limit which do not
//! run backwards; that it seals again, in both ways to the same bytes, and then opens to the same;
//! and that `peek` reads of any bytes what `open` does.
#![no_main]

use driftlog_fuzz::{memory, mend};
use driftlog_proto::item::{self, ItemHeader, PAYLOAD_AT};
use driftlog_proto::limits::{ITEM_BYTES_MAX, SEQ_MAX};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((mode, bytes)) = data.split_first() else { return };
    let bytes = if mode & 1 == 1 { bytes.to_vec() } else { mend::item(bytes) };
    let peeked = item::peek(&bytes);
    let Ok((header, payload)) = memory::within(0, "opening", || item::open(&bytes)) else { return };
    assert_eq!(
        peeked.map(|(header, checksum)| (header, Some(checksum))),
        Some((header.clone(), item::checksum(&bytes)))
    );

    let (begin, end) = (header.begin(), header.end(&bytes));
    assert!(begin.seq <= end.seq && end.seq.0 <= SEQ_MAX, "{begin} to {end}");
    if let ItemHeader::Gap(gap) = &header {
        assert_eq!(gap.records(), end.seq.0 - begin.seq.0);
        assert!(gap.starts.iter().all(|(_, n)| (begin.seq..=end.seq).contains(n)), "{gap:?}");
    }

    let mut sealed = vec![0; ITEM_BYTES_MAX];
    let length = item::seal(&header, payload, &mut sealed).expect("what was opened fits");
    assert_eq!(item::open(&sealed[..length]), Ok((header.clone(), payload)), "not the same again");
    // A gap's list may be longer than the room that is kept for the header of a block.
    if !matches!(header, ItemHeader::Gap(_)) {
        let mut in_place = vec![0; PAYLOAD_AT + payload.len() + 4];
        in_place[PAYLOAD_AT..PAYLOAD_AT + payload.len()].copy_from_slice(payload);
        let other = item::seal_in_place(&header, payload.len(), &mut in_place);
        assert_eq!(other.map(|length| &in_place[..length]), Ok(&sealed[..length]), "sealed in two ways");
    }
});
