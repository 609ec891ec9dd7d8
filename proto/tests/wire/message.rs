//! Messages: round trips, truncation, versions, limits.

use driftlog_proto::error::Malformed;
use driftlog_proto::item;
use driftlog_proto::limits::{ITEM_BYTES_MAX, MESSAGE_BYTES_MAX};
use driftlog_proto::message::{Down, Message, Refusal, Up, decode, encode};
use proptest::prelude::*;

use crate::arbitrary;

/// A message in bytes.
pub(crate) fn encoded<M: Message>(message: &M, tail: &[u8]) -> Vec<u8> {
    let mut out = vec![0; MESSAGE_BYTES_MAX];
    let bytes = encode(message, tail, &mut out).unwrap();
    out.truncate(bytes);
    out
}

/// A head with the prefix that makes it a message.
pub(crate) fn framed(head: &[u8]) -> Vec<u8> {
    let checksum = driftlog_proto::checksum::crc32c_seeded(1, &[head]);
    [&[1], &checksum.to_le_bytes()[..], head].concat()
}

proptest! {
    #[test]
    fn what_a_device_says_comes_back(up in arbitrary::up()) {
        let bytes = encoded(&up, b"");
        prop_assert_eq!(decode::<Up>(&bytes), Ok((up, &b""[..])));
    }

    #[test]
    fn what_a_gateway_says_comes_back(down in arbitrary::down()) {
        let bytes = encoded(&down, b"");
        prop_assert_eq!(decode::<Down>(&bytes), Ok((down, &b""[..])));
    }

    #[test]
    fn a_message_cut_anywhere_is_malformed(up in arbitrary::up(), down in arbitrary::down()) {
        for (bytes, is_refused) in [
            (encoded(&up, b""), (|cut| decode::<Up>(cut).is_err()) as fn(&[u8]) -> bool),
            (encoded(&down, b""), |cut| decode::<Down>(cut).is_err()),
        ] {
            for end in 0..bytes.len() {
                prop_assert!(is_refused(&bytes[..end]), "cut at {} of {}", end, bytes.len());
            }
        }
    }

    #[test]
    fn an_item_cut_anywhere_is_malformed_as_a_message_or_as_an_item(
        up in arbitrary::up().prop_filter("has a tail", Message::has_tail),
        (header, payload) in arbitrary::item_and_payload(),
    ) {
        let mut sealed = vec![0; ITEM_BYTES_MAX];
        let bytes = item::seal(&header, &payload, &mut sealed).unwrap();
        let bytes = encoded(&up, &sealed[..bytes]);
        let (_, tail) = decode::<Up>(&bytes).unwrap();
        prop_assert_eq!(item::open(tail), Ok((header, &payload[..])));
        for end in 0..bytes.len() {
            // The head does not know where the tail ends: the item's own checksum does.
            let is_refused = decode::<Up>(&bytes[..end]).map_or(true, |(_, tail)| item::open(tail).is_err());
            prop_assert!(is_refused, "cut at {} of {}", end, bytes.len());
        }
    }

    #[test]
    fn a_flipped_bit_in_a_head_is_noticed(up in arbitrary::up(), bit in any::<prop::sample::Index>()) {
        let mut bytes = encoded(&up, b"");
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(decode::<Up>(&bytes).is_err());
    }

    #[test]
    fn bytes_after_a_message_without_a_tail_are_malformed(down in arbitrary::down()) {
        let bytes = [&encoded(&down, b"")[..], &[0]].concat();
        prop_assert_eq!(decode::<Down>(&bytes), Err(Malformed::TrailingBytes));
    }
}

#[test]
fn an_unknown_version_is_said_to_be_one() {
    for version in (0..=u8::MAX).filter(|&version| version != 1) {
        let mut bytes = encoded(&Down::Refuse(Refusal::Quarantined), b"");
        bytes[0] = version;
        assert_eq!(decode::<Up>(&bytes), Err(Malformed::Version(version)));
        assert_eq!(decode::<Down>(&bytes), Err(Malformed::Version(version)));
    }
}

#[test]
fn an_unknown_variant_is_malformed_even_with_a_good_checksum() {
    for variant in 4..=127 {
        let bytes = framed(&[&[variant], &[0; 200][..]].concat());
        assert_eq!(decode::<Up>(&bytes), Err(Malformed::Encoding), "{variant}");
        assert_eq!(decode::<Down>(&bytes), Err(Malformed::Encoding), "{variant}");
    }
}
