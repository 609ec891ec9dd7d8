//! Sealed items: round trips, truncation, flipped bits, order.

use driftlog_proto::error::Malformed;
use driftlog_proto::ids::{Chain, Lane, Place, RunId, Seq};
use driftlog_proto::item::{self, Cause, Gap, ItemHeader, PAYLOAD_AT, Start};
use driftlog_proto::limits::{ITEM_BYTES_MAX, SEQ_MAX};
use proptest::prelude::*;

use crate::arbitrary;

pub(crate) fn sealed(header: &ItemHeader, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0; ITEM_BYTES_MAX];
    let bytes = item::seal(header, payload, &mut out).unwrap();
    out.truncate(bytes);
    out
}

/// Changes a sealed item and gives it the checksum that it then needs.
fn forged(mut sealed: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    sealed.truncate(sealed.len() - 4);
    change(&mut sealed);
    let checksum = driftlog_proto::checksum::crc32c(&sealed);
    sealed.extend_from_slice(&checksum.to_le_bytes());
    sealed
}

proptest! {
    #[test]
    fn an_item_comes_back((header, payload) in arbitrary::item_and_payload()) {
        let sealed = sealed(&header, &payload);
        prop_assert_eq!(item::open(&sealed), Ok((header.clone(), &payload[..])));
        prop_assert_eq!(item::peek(&sealed).map(|(header, _)| header), Some(header.clone()));
        prop_assert_eq!(item::peek(&sealed).map(|(_, checksum)| checksum), item::checksum(&sealed));

        let mut in_place = vec![0; PAYLOAD_AT];
        in_place.extend_from_slice(&payload);
        in_place.extend_from_slice(&[0; 4]);
        if let Ok(bytes) = item::seal_in_place(&header, payload.len(), &mut in_place) {
            prop_assert_eq!(&in_place[..bytes], &sealed[..]);
        } else {
            prop_assert!(!matches!(header, ItemHeader::Block(_)), "a block can be sealed in place");
        }
    }

    #[test]
    fn an_item_cut_anywhere_is_malformed((header, payload) in arbitrary::item_and_payload()) {
        let sealed = sealed(&header, &payload);
        for end in 0..sealed.len() {
            prop_assert!(item::open(&sealed[..end]).is_err(), "cut at {} of {}", end, sealed.len());
        }
    }

    #[test]
    fn a_flipped_bit_is_a_wrong_checksum(
        (header, payload) in arbitrary::item_and_payload(),
        bit in any::<prop::sample::Index>(),
    ) {
        let mut sealed = sealed(&header, &payload);
        let bit = bit.index(sealed.len() * 8);
        sealed[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(item::open(&sealed), Err(Malformed::Checksum));
    }

    #[test]
    fn a_start_or_a_gap_has_no_payload(gap in arbitrary::gap()) {
        let with_payload = forged(sealed(&ItemHeader::Gap(gap), b""), |bytes| bytes.push(0));
        prop_assert_eq!(item::open(&with_payload), Err(Malformed::TrailingBytes));
    }
}

const RUN: RunId = RunId(0xa);

fn start() -> ItemHeader {
    ItemHeader::Start(Start { lane: Lane::Bulk, run: RUN, parent: Place::ORIGIN })
}

#[test]
fn an_unknown_version_is_said_to_be_one_once_the_checksum_holds() {
    for version in (0..=u8::MAX).filter(|&version| version != 1) {
        let sealed = forged(sealed(&start(), b""), |bytes| bytes[0] = version);
        assert_eq!(item::open(&sealed), Err(Malformed::Version(version)));
        assert_eq!(item::peek(&sealed), None);
    }
}

#[test]
fn an_unknown_kind_lane_or_cause_is_malformed() {
    for kind in 3..=127 {
        let sealed = forged(sealed(&start(), b""), |bytes| bytes[1] = kind);
        assert_eq!(item::open(&sealed), Err(Malformed::Encoding), "kind {kind}");
    }
    for lane in 2..=127 {
        let sealed = forged(sealed(&start(), b""), |bytes| bytes[2] = lane);
        assert_eq!(item::open(&sealed), Err(Malformed::Encoding), "lane {lane}");
    }
    let gap =
        Gap { lane: Lane::Bulk, from: at(1), to: at(2), cause: Cause::Closed, starts: heapless::Vec::new() };
    let gap = sealed(&ItemHeader::Gap(gap), b"");
    for cause in 6..=127 {
        // The cause stands before the number of starts, which is 0.
        let sealed = forged(gap.clone(), |bytes| {
            let cause_at = bytes.len() - 2;
            assert_eq!(bytes[cause_at], Cause::Closed.index() as u8);
            bytes[cause_at] = cause;
        });
        assert_eq!(item::open(&sealed), Err(Malformed::Encoding), "cause {cause}");
    }
}

fn at(seq: u64) -> Place {
    Place { run: RUN, seq: Seq(seq), chain: Chain(seq) }
}

#[test]
fn a_gap_whose_numbers_or_runs_run_backwards_is_refused() {
    let opened = |from: Place, starts: &[(u64, u64)], to: Place| {
        let starts = starts.iter().map(|&(run, n)| (RunId(run), Seq(n))).collect();
        let gap = Gap { lane: Lane::Bulk, from, to, cause: Cause::Overflow, starts };
        item::open(&sealed(&ItemHeader::Gap(gap), b"")).map(|_| ())
    };
    let to = |run: u64, seq: u64| Place { run: RunId(run), ..at(seq) };
    assert_eq!(opened(at(5), &[], at(9)), Ok(()));
    assert_eq!(opened(at(5), &[(0xb, 7), (0xc, 7)], to(0xc, 9)), Ok(()));
    assert_eq!(opened(at(5), &[(0xb, 5)], to(0xb, 5)), Ok(()), "a gap that swallowed only a start");
    assert_eq!(opened(Place::ORIGIN, &[(0xb, 0)], to(0xb, 3)), Ok(()), "a root that is gone");
    assert_eq!(opened(at(9), &[], at(5)), Err(Malformed::Order));
    assert_eq!(opened(at(5), &[(0xb, 7), (0xc, 6)], to(0xc, 9)), Err(Malformed::Order));
    assert_eq!(opened(at(5), &[(0xb, 7)], to(0xb, 6)), Err(Malformed::Order));
    assert_eq!(opened(at(5), &[(0xb, 7)], at(9)), Err(Malformed::Order), "its last run is that of `to`");
    assert_eq!(opened(Place::ORIGIN, &[(0xb, 1)], to(0xb, 3)), Err(Malformed::Order), "a root begins at 0");
    assert_eq!(opened(at(5), &[(0xa, 7)], at(9)), Err(Malformed::Run), "a run begins once");
    assert_eq!(opened(at(5), &[(0, 7)], to(0, 9)), Err(Malformed::Run));
    assert_eq!(opened(at(5), &[], at(SEQ_MAX + 1)), Err(Malformed::Seq));
}

#[test]
fn a_start_is_of_a_run_and_not_of_its_own_parent() {
    let opened = |run: u64, parent: Place| {
        let start = Start { lane: Lane::Urgent, run: RunId(run), parent };
        item::open(&sealed(&ItemHeader::Start(start), b"")).map(|_| ())
    };
    assert_eq!(opened(1, at(SEQ_MAX)), Ok(()));
    assert_eq!(opened(0, at(1)), Err(Malformed::Run));
    assert_eq!(opened(0xa, at(1)), Err(Malformed::Run));
    assert_eq!(opened(1, at(SEQ_MAX + 1)), Err(Malformed::Seq));
}
