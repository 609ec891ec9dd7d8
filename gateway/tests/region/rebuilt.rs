//! What a rebuild makes from the archive is what the region had in its ledger.

use driftlog_gateway::audit::audit;
use driftlog_gateway::ledger::Ledger;
use driftlog_gateway::ledger::memory::MemoryLedger;
use driftlog_gateway::ledger::record::LaneRecord;
use driftlog_gateway::rebuild::{RebuildOptions, rebuild};
use driftlog_gateway::sink::archive::simulated::SimDirectory;
use driftlog_gateway::sink::archive::state::ArchiveId;
use driftlog_gateway::sink::archive::{Archive, ArchiveConfig};
use driftlog_proto::ids::{AckNumber, Chain, Lane, Place, RunId, Seq};
use driftlog_proto::item::{self, Cause, Gap, ItemHeader};

use crate::fixture::{Device, Shore};

/// The lanes of a ledger; when runs were first heard of cannot come back, and is left out.
fn lanes(ledger: &MemoryLedger) -> Vec<(Vec<u8>, LaneRecord)> {
    let mut lanes = Vec::new();
    for (key, value) in ledger.scan(b"lane/").unwrap() {
        let mut lane = LaneRecord::decode(&value).unwrap();
        for run in &mut lane.runs {
            (run.first_heard, run.last_echo) = (AckNumber::default(), AckNumber::default());
        }
        lanes.push((key, lane));
    }
    lanes
}

fn gap(device: &mut Device, to: Place, starts: &[(RunId, Seq)]) -> Vec<u8> {
    let starts = starts.iter().copied().collect();
    let gap = Gap { lane: Lane::Bulk, from: device.tail, to, cause: Cause::Overflow, starts };
    let mut sealed = vec![0; 1024];
    let length = item::seal(&ItemHeader::Gap(gap), &[], &mut sealed).unwrap();
    device.tail = to;
    device.carry(&sealed[..length])
}

#[test]
fn a_lost_ledger_comes_back_from_the_archive_as_the_region_had_it() {
    let mut shore = Shore::new();
    let directory = SimDirectory::default();
    let mut archive = Archive::open(
        Box::new(directory.clone()),
        ArchiveConfig::default(),
        &mut MemoryLedger::default(),
        ArchiveId([1; 16]),
    )
    .unwrap();
    let (mut one, mut two) = (Device::new("pump-1"), Device::new("pump-2"));
    shore.greet(&mut one);
    for message in [one.start(), one.block(5, 60), one.block(2, 30)] {
        shore.hear(&one, &message);
    }
    let mut batches = shore.commit_all();

    // A reboot; then a gap that swallows one run and a part of the next; then a fork.
    shore.ack(&mut one);
    let forgotten = (one.run, one.tail);
    one.run = RunId(0x1001);
    for message in [one.start(), one.block(3, 40)] {
        shore.hear(&one, &message);
    }
    let (swallowed, newest) = (RunId(0x1002), RunId(0x1003));
    let to = Place { run: newest, seq: Seq(30), chain: Chain(0xabc) };
    one.run = newest;
    let message = gap(&mut one, to, &[(swallowed, Seq(12)), (newest, Seq(20))]);
    shore.hear(&one, &message);
    let message = one.block(1, 10);
    shore.hear(&one, &message);
    batches.extend(shore.commit_all());
    (one.run, one.tail) = forgotten;
    let message = one.block(4, 40);
    shore.hear(&one, &message);

    // A device that was acknowledged by a ledger that is gone.
    two.tail = Place { run: two.run, seq: Seq(500), chain: Chain(0xdef) };
    two.base = two.tail;
    shore.greet(&mut two);
    shore.greet(&mut two);
    let message = two.block(6, 50);
    shore.hear(&two, &message);
    batches.extend(shore.commit_all());

    for batch in &batches {
        archive.write(&batch.entries).unwrap();
        archive.sync().unwrap();
        archive.committed();
    }
    let mut rebuilt = MemoryLedger::default();
    let options = RebuildOptions { force: false, without_marks: false, fresh: ArchiveId([2; 16]) };
    rebuild(&mut directory.clone(), &mut rebuilt, &options).unwrap();
    let (lost, rebuilt) = (lanes(&shore.ledger), lanes(&rebuilt));
    assert_eq!(rebuilt, lost);
    let of = |name: &[u8]| rebuilt.iter().find(|(key, _)| key == name).unwrap().1.runs.clone();
    assert_eq!(of(b"lane/pump-1/bulk").len(), 4, "the runs of the gap are there too");
    assert_eq!(of(b"lane/pump-2/bulk")[0].marks[0].place.seq, Seq(506));
    let report = audit(&directory, &[], &mut |_| {}).unwrap();
    assert!(!report.is_broken(), "{report:?}");
    assert_eq!(report.lanes[0].tally.forks, 1);
}
