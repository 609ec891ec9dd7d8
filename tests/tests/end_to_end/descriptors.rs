//! How many files, sockets and the like an agent has open at once.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;

use driftlog_agent::DESCRIPTORS_MAX;
use driftlog_agent::source::FILES_MAX;
use driftlog_tests::clock;
use driftlog_tests::device::{AgentSettings, Device};

use crate::world::{LONG, World, append};

/// What a process has open now, by kind.
fn open(process: u32, device: &Device) -> BTreeMap<&'static str, usize> {
    let mut kinds = BTreeMap::new();
    let entries = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    for target in entries.flatten().filter_map(|entry| fs::read_link(entry.path()).ok()) {
        let name = target.to_string_lossy();
        let kind = match () {
            () if target.starts_with(device.logs()) => "logs",
            () if target.starts_with(device.state().join("spool")) => "spool",
            () if name.starts_with("socket:") => "sockets",
            () if name.starts_with("anon_inode:") => "events",
            () => "other",
        };
        *kinds.entry(kind).or_default() += 1;
    }
    kinds
}

fn sum(kinds: &BTreeMap<&'static str, usize>) -> usize {
    kinds.values().sum()
}

#[test]
fn an_agent_with_more_files_than_it_follows_has_no_more_open_than_is_listed() {
    let world = World::new();
    let mut device = world.device("pump-1", &AgentSettings { delay_ms_max: 20, ..AgentSettings::default() });
    let log = |number: usize| device.logs().join(format!("{number}.log"));
    for number in 0..FILES_MAX + 40 {
        append(&log(number), 0..3, "many");
    }
    // One is rotated while it is read, and one removed.
    let rename = |from: &Path, to: &str| fs::rename(from, from.with_file_name(to)).unwrap();
    let (rotated, removed) = (log(0), log(1));
    device.start().unwrap();
    let process = device.agent().unwrap().id();
    let mut most = BTreeMap::new();
    let mut look = |device: &Device| {
        let now = open(process, device);
        if sum(&now) > sum(&most) {
            most = now;
        }
    };
    let is_read = |device: &Device| {
        device
            .status()
            .is_some_and(|status| status.core.answered && status.core.lines >= 3 * FILES_MAX as u64)
    };
    assert!(
        clock::wait_until(LONG, || {
            look(&device);
            is_read(&device)
        }),
        "{:?}",
        device.status().map(|status| status.core.lines)
    );
    rename(&rotated, "0.log.1");
    append(&rotated, 3..6, "many");
    fs::remove_file(&removed).unwrap();
    // Who asks and does not listen is held for a while.
    let socket = device.state().join("agent.sock");
    let asking: Vec<UnixStream> = (0..8).filter_map(|_| UnixStream::connect(&socket).ok()).collect();
    let began = clock::now();
    while began.elapsed().as_millis() < 3_000 {
        look(&device);
    }
    drop(asking);
    assert!(sum(&most) <= DESCRIPTORS_MAX, "{} are listed and these were open: {most:?}", DESCRIPTORS_MAX);
    assert!((FILES_MAX - 1..=FILES_MAX + 1).contains(&most["logs"]), "{most:?}");
    assert!(most["spool"] <= 2 * 4 + 1, "{most:?}");
    assert!(most["sockets"] <= 12 && most["events"] <= 5 && most["other"] <= 8, "{most:?}");
    device.stop().unwrap();
}
