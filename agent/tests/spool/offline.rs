//! A spool read without an agent.

use driftlog_agent::compress::Zstd as Compressor;
use driftlog_agent::decompress::Zstd as Decompressor;
use driftlog_agent::spool::disk::{OsDisk, SimDisk};
use driftlog_agent::spool::offline::{ExportFormat, Exported, Offline};
use driftlog_agent::spool::{Spool, SpoolConfig};
use driftlog_proto::block::{Codec, Ending, Format, Packer, Part, Record, Severity, Source, WORKSPACE_BYTES};
use driftlog_proto::checksum::crc32c_seeded;
use driftlog_proto::ids::{BootId, Chain, Lane, Place, RunId, Seq};
use driftlog_proto::item::{self, BlockHeader, Cause, ItemHeader};
use driftlog_proto::time::{ClockState, Mono, Unix};

use crate::support::*;

/// Packs lines into a real block and appends it.
fn append_lines<D: driftlog_agent::spool::disk::Disk>(spool: &mut Spool<D>, lines: &[(&[u8], Part, Ending)]) {
    let mut packer = Packer::new(vec![0; WORKSPACE_BYTES]).unwrap();
    packer.open(Mono(5_000_000));
    let source = packer.source(&Source { path: b"/var/log/app.log", file: 42 }).unwrap();
    let mut offset = 0;
    for (body, part, ending) in lines {
        let record = Record {
            mono: Mono(6_000_000),
            severity: Severity::WARN,
            source,
            offset,
            ending: *ending,
            part: *part,
            cut: false,
            format: Format::Raw,
            body,
        };
        packer.push(&record).unwrap();
        offset += body.len() as u64 + 1;
    }
    let mut payload = vec![0; 128 * 1024];
    let packed = packer.pack(Codec::Zstd, &mut Compressor::new(), &mut payload).unwrap();
    let tail = spool.tail();
    let header = ItemHeader::Block(BlockHeader {
        lane: Lane::Bulk,
        run: tail.run,
        first: tail.seq,
        prev: tail.chain,
        count: lines.len() as u32,
        boot: BootId([7; 16]),
        mono: Mono(5_000_000),
        span_ns: 1_000_000,
        wall: Unix(1_000_000_000),
        clock: ClockState::Unset,
        codec: packed.codec as u8,
        raw_bytes: packed.raw_bytes as u32,
    });
    let mut sealed = vec![0; 128 * 1024];
    let bytes = item::seal(&header, &payload[..packed.bytes], &mut sealed).unwrap();
    spool.append(Mono(0), &sealed[..bytes], &[], &[]).unwrap();
}

const WHOLE: Part = Part::Whole;
const NEWLINE: Ending = Ending::Newline;

fn export(offline: &mut Offline<SimDisk>, format: ExportFormat) -> (String, Exported) {
    let mut out = Vec::new();
    let mut last = 0;
    let exported = offline
        .export(format, &mut Decompressor::new(), &mut out, &mut |progress| {
            assert!(progress.done >= last && progress.done <= progress.total);
            last = progress.done;
        })
        .unwrap();
    (String::from_utf8_lossy(&out).into_owned(), exported)
}

#[test]
fn an_inspection_says_what_is_there_and_writes_nothing() {
    let mut spool = open(SimDisk::new(1), config(), 1);
    for _ in 0..100 {
        append(&mut spool, 2, 900).unwrap();
    }
    let seen = walk(&mut spool);
    let base = spool.base();
    let end = spool.next_durable();
    let disk = spool.into_disk();
    let operations = disk.stats().operations;
    let mut offline = Offline::new(disk).unwrap();
    let inspection = offline.inspect("pump-7");
    assert_eq!(inspection.lane, "bulk");
    assert_eq!(
        (inspection.base.run.as_str(), inspection.base.seq),
        (base.run.to_string().as_str(), base.seq.0)
    );
    assert_eq!((inspection.next.seq, inspection.next.chain.as_str()), (200, &*end.chain.to_string()));
    assert_eq!(inspection.records_waiting, records(&seen));
    assert_eq!(inspection.gaps.len(), 1);
    assert_eq!((inspection.gaps[0].cause, inspection.gaps[0].records), ("overflow", lost(&seen)));
    let json: serde_json::Value = serde_json::from_str(&serde_json::to_string(&inspection).unwrap()).unwrap();
    assert_eq!(json["device_id"], "pump-7");
    assert_eq!(json["next"]["run"], "0000000000000001");
    assert!(inspection.to_string().contains("written up to      record 200 of run 0000000000000001"));
    let verification = offline.verify(&mut |_| ());
    assert!(verification.is_sound(), "{verification}");
    assert_eq!(verification.records, records(&seen));
    let mut again = Offline::new(disk_of(offline)).unwrap();
    assert_eq!(again.inspect("pump-7"), inspection);
    assert_eq!(again.verify(&mut |_| ()), verification);
    assert_eq!(disk_of(again).stats().operations, operations, "nothing was written");
}

fn disk_of(offline: Offline<SimDisk>) -> SimDisk {
    offline.into_disk()
}

#[test]
fn an_empty_directory_is_an_empty_spool() {
    let mut offline = Offline::new(SimDisk::new(1)).unwrap();
    assert_eq!(offline.lane(), None);
    assert_eq!(offline.inspect("x").records_waiting, 0);
    assert!(offline.verify(&mut |_| ()).is_sound());
    assert_eq!(export(&mut offline, ExportFormat::Text), (String::new(), Exported::default()));
}

#[test]
fn verification_finds_damage_and_does_not_stop_at_it() {
    let mut spool = open(SimDisk::new(1), roomy(), 1);
    for _ in 0..40 {
        append(&mut spool, 2, 300).unwrap();
    }
    let mut disk = spool.into_disk();
    let slot = files(&disk)[0].0;
    for at in 2000..2040 {
        disk.flip(slot, at, 0);
    }
    let mut offline = Offline::new(disk).unwrap();
    let verification = offline.verify(&mut |_| ());
    assert!(!verification.is_sound());
    assert_eq!(verification.damaged.len(), 1, "{verification}");
    assert_eq!(verification.records + verification.damaged[0].records, 80);
    assert!(verification.to_string().contains("damaged: 2 records from"), "{verification}");
}

#[test]
fn logs_come_back_out_as_text_and_as_ndjson() {
    let mut spool = open(SimDisk::new(1), roomy(), 1);
    append_lines(&mut spool, &[(b"first", WHOLE, NEWLINE), (b"\xffnot text", WHOLE, NEWLINE)]);
    append_lines(
        &mut spool,
        &[(b"a long ", Part::First, Ending::None), (b"line", Part::Last, NEWLINE), (b"", WHOLE, NEWLINE)],
    );
    append_lines(&mut spool, &[(b"refused", WHOLE, NEWLINE)]);
    append_lines(&mut spool, &[(b"open end", Part::First, Ending::None)]);
    let seen = walk(&mut spool);
    spool.refuse(&seen[3].item.begin, Cause::Refused).unwrap();
    let mut offline = Offline::new(spool.into_disk()).unwrap();
    let (text, exported) = export(&mut offline, ExportFormat::Text);
    assert_eq!(text, "first\n\u{fffd}not text\na long line\n\nopen end\n");
    assert_eq!(exported, Exported { records: 6, gone: 1, damaged: 0, not_unpacked: 0 });
    let (ndjson, exported) = export(&mut offline, ExportFormat::Ndjson);
    assert_eq!(exported.records, 6);
    let lines: Vec<serde_json::Value> =
        ndjson.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 7);
    assert_eq!((&lines[0]["body"], &lines[0]["seq"]), (&"first".into(), &0.into()));
    assert_eq!((&lines[0]["path"], &lines[0]["severity"]), (&"/var/log/app.log".into(), &"warn".into()));
    assert_eq!((&lines[0]["mono_ns"], &lines[0]["wall_ns"]), (&6_000_000.into(), &1_001_000_000.into()));
    assert!(lines[0].get("body_base64").is_none());
    assert_eq!(lines[1]["body_base64"], "/25vdCB0ZXh0");
    assert_eq!((&lines[2]["part"], &lines[3]["part"]), (&"first".into(), &"last".into()));
    assert_eq!((&lines[5]["gap"]["records"], &lines[5]["gap"]["cause"]), (&1.into(), &"refused".into()));
    assert_eq!((&lines[6]["body"], &lines[6]["unterminated"]), (&"open end".into(), &true.into()));
}

#[test]
fn a_block_that_does_not_unpack_is_counted_and_the_rest_comes_out() {
    let mut spool = open(SimDisk::new(1), roomy(), 1);
    append(&mut spool, 3, 100).unwrap();
    append_lines(&mut spool, &[(b"good", WHOLE, NEWLINE)]);
    let mut offline = Offline::new(spool.into_disk()).unwrap();
    let (text, exported) = export(&mut offline, ExportFormat::Text);
    assert_eq!(text, "good\n");
    assert_eq!((exported.records, exported.not_unpacked), (1, 3));
}

#[test]
fn a_real_directory_is_written_recovered_and_read_offline() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("bulk");
    let config = SpoolConfig { segment_bytes: 8192, bytes_max: 16 * 8192, ..config() };
    let opened = |run| Spool::open(OsDisk::open(&directory).unwrap(), config, RunId(run), HARDWARE).unwrap();
    for run in 1..6 {
        let mut spool = opened(run);
        for _ in 0..40 {
            append(&mut spool, 1, 900).unwrap();
        }
        let middle = walk(&mut spool)[20].item.end;
        spool.trim(&middle);
        append_lines(&mut spool, &[(b"a line of text", WHOLE, NEWLINE)]);
    }
    // A copy that cannot be written, as from a device that died.
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let mut permissions = std::fs::metadata(&path).unwrap().permissions();
        permissions.set_readonly(true);
        std::fs::set_permissions(&path, permissions).unwrap();
    }
    let mut offline = Offline::open(&directory).unwrap();
    let verification = offline.verify(&mut |_| ());
    assert!(verification.is_sound() && verification.records > 50, "{verification}");
    let mut out = Vec::new();
    let exported =
        offline.export(ExportFormat::Text, &mut Decompressor::new(), &mut out, &mut |_| ()).unwrap();
    assert_eq!(out, b"a line of text\n".repeat(exported.records as usize));
    assert!(exported.records >= 1);
    let mut spool = opened(9);
    assert_eq!(spool.next_durable().seq.0, 5 * 41);
    walk(&mut spool);
}

/// Forges the second of three blocks: as many bytes, whole, under checksums that are right, and said to be of
/// this place. The frame is left to say what it said, but for its count of records. Where it stands the log
/// was synced, as the third says.
fn forged(of: impl Fn(Place) -> Place, count: u32) -> Offline<SimDisk> {
    let mut spool = open(SimDisk::new(1), config(), 1);
    append(&mut spool, 3, 300).unwrap();
    let place = spool.tail();
    append(&mut spool, 3, 300).unwrap();
    append(&mut spool, 3, 300).unwrap();
    let mut disk = spool.into_disk();
    let slot = files(&disk)[0].0;
    let content = disk.content(slot).unwrap().to_vec();
    let salt = u32::from_le_bytes(content[12..16].try_into().unwrap());
    let (own, other) = (block(place, 3, 300), block(of(place), 3, 300));
    assert_eq!(own.len(), other.len());
    let at = content.windows(own.len()).position(|bytes| bytes == own).unwrap();
    let mut frame = [&content[at - 64..at], &other].concat();
    let checksum = crc32c_seeded(salt, &[&frame[64..]]).to_le_bytes();
    frame[4..8].copy_from_slice(&checksum);
    frame[36..40].copy_from_slice(&count.to_le_bytes());
    let checksum = crc32c_seeded(salt, &[&frame[4..64]]).to_le_bytes();
    frame[..4].copy_from_slice(&checksum);
    disk.overwrite(slot, at - 64, &frame);
    Offline::new(disk).unwrap()
}

#[test]
fn an_item_that_speaks_of_another_place_than_its_frame_is_damaged() {
    let others: [fn(Place) -> Place; 3] = [
        |place| Place { seq: Seq(place.seq.0 + 1), ..place },
        |place| Place { run: RunId(place.run.0 + 1), ..place },
        |place| Place { chain: Chain(place.chain.0 ^ 1), ..place },
    ];
    for other in others {
        let mut offline = forged(other, 3);
        assert_eq!((offline.recovery().cut_bytes, offline.recovery().damaged_frames), (0, 0), "all are read");
        let verification = offline.verify(&mut |_| ());
        assert_eq!((verification.starts, verification.blocks, verification.records), (1, 2, 6));
        let [damage] = &verification.damaged[..] else { panic!("{verification:?}") };
        assert_eq!((damage.from.seq, damage.to.seq, damage.records), (3, 6, 3));
        let (_, exported) = export(&mut offline, ExportFormat::Ndjson);
        // The blocks beside it are random bytes, which nobody packed.
        assert_eq!(exported, Exported { damaged: 3, not_unpacked: 6, ..Exported::default() });
    }
    let mut same = forged(|place| place, 3);
    assert!(same.verify(&mut |_| ()).is_sound(), "what is forged is the place alone");
}

/// Found by fuzzing `spool export`: more records were damaged than there were.
#[test]
fn a_frame_that_counts_more_records_than_the_log_has_is_damaged_up_to_its_end() {
    let mut offline = forged(|place| place, 1000);
    let verification = offline.verify(&mut |_| ());
    let [damage] = &verification.damaged[..] else { panic!("{verification:?}") };
    assert_eq!((verification.records, damage.from.seq, damage.to.seq), (3, 3, 9));
}
