//! `docs/wire-format.md` says what the code does.

use driftlog_proto::limits;

use crate::vectors::{BLOCK, ITEMS, hex_of};

const PAGE: &str = include_str!("../../../docs/wire-format.md");
const LIMITS: &str = include_str!("../../src/limits.rs");

/// Names of limits with their values.
macro_rules! values {
    ($($name:ident),* $(,)?) => { vec![$((stringify!($name), limits::$name as u64)),*] };
}

#[test]
fn the_limits_on_the_page_are_those_of_the_code() {
    let values = values![
        DEVICE_ID_BYTES_MAX,
        SEQ_MAX,
        MESSAGE_BYTES_MAX,
        ENVELOPE_BYTES_MAX,
        ITEM_BYTES_MAX,
        ITEM_OVERHEAD_BYTES_MAX,
        PAYLOAD_BYTES_MAX,
        RAW_BYTES_MAX,
        BLOCK_RECORDS_MAX,
        RECORD_BYTES_MAX,
        LINE_BYTES_MAX,
        BLOCK_SOURCES_MAX,
        PATH_BYTES_MAX,
        REFERENCE_BLOCKS_MAX,
        REFERENCE_BYTES_MAX,
        REFERENCE_SEALED_BYTES_MAX,
        GAP_STARTS_MAX,
        GAPS_MAX,
        LANES_MAX,
        ACK_RUNS_MAX,
        ACK_RANGES_MAX,
        LABELS_MAX,
        LABEL_KEY_BYTES_MAX,
        LABEL_VALUE_BYTES_MAX,
        VERSION_BYTES_MAX,
        IN_FLIGHT_ITEMS_MAX,
        HELD_ITEMS_MAX,
        RUNS_MAX,
        SINKS_MAX,
    ];
    let in_code: Vec<&str> = LIMITS
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.split_once(':'))
        .map(|(name, _)| name)
        .collect();
    let here: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
    assert_eq!(here, in_code, "this test names every limit of limits.rs, in its order");

    let on_the_page: Vec<(&str, u64)> = PAGE
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .filter(|(name, _)| name.ends_with("_MAX"))
        .map(|(name, rest)| (name, rest.split(' ').next().unwrap().parse().unwrap()))
        .collect();
    assert_eq!(on_the_page, values, "the table of limits in docs/wire-format.md");
}

/// The bytes of the examples on the page: hex words at the beginning of indented lines.
fn examples() -> Vec<String> {
    let sections = PAGE.split("### An example").skip(1);
    sections
        .map(|section| {
            let end = section.find("\n#").unwrap_or(section.len());
            let lines = section[..end].lines().filter_map(|line| line.strip_prefix("    "));
            lines.map(|line| line.trim_start().split("  ").next().unwrap().replace(' ', "")).collect()
        })
        .collect()
}

#[test]
fn the_examples_on_the_page_are_vectors() {
    let examples = examples();
    assert_eq!(examples.len(), 2);
    assert_eq!(examples[0], hex_of(ITEMS, "Start, a root"));
    assert_eq!(examples[1], hex_of(BLOCK, "stored, mono 86400000000999"));
}
