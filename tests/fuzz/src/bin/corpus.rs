//! Writes a seed corpus for every target below a folder: `corpus FOLDER`.
//!
//! Seeds come from the code itself: golden vectors, blocks that the agent's packer and compressor
//! made, spools that lived, a ledger that a region wrote, the example configurations. Targets whose
//! bytes are operations begin with orders of them drawn from a seed: each is a whole run.

// What instruments the build is in there.
use libfuzzer_sys as _;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use driftlog_agent::spool::disk::SimDisk;
use driftlog_agent::spool::{Spool, SpoolError};
use driftlog_fuzz::input::put_chunk;
use driftlog_fuzz::{packed, segments};
use driftlog_gateway::ledger::record::{LaneRecord, Mark, RunRecord};
use driftlog_proto::block::Codec;
use driftlog_proto::clock::DeviceClock;
use driftlog_proto::ids::{AckNumber, BootId, Chain, Place, RunId, Seq};
use driftlog_proto::item::{self, ItemHeader};
use driftlog_proto::lines::Encoder;
use driftlog_proto::message::{Reading, Returned};
use driftlog_proto::time::{ClockState, Mono, Unix};

/// Targets whose bytes are operations, and how many bytes a seed of them has at most.
const ORDERS: [(&str, usize); 6] = [
    ("agent", 600),
    ("receiver", 2_000),
    ("region", 1_500),
    ("sender", 1_500),
    ("source", 600),
    ("spool_life", 1_000),
];
/// Seeds of each of them.
const ORDERS_EACH: u64 = 24;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).ok_or("usage: corpus FOLDER")?;
    let corpus = Corpus { folder: folder.into() };
    corpus.messages_and_items()?;
    corpus.blocks()?;
    corpus.lines()?;
    corpus.spools()?;
    corpus.configurations()?;
    corpus.ledgers()?;
    for (at, (target, bytes_max)) in ORDERS.iter().enumerate() {
        corpus.orders(target, *bytes_max, at as u64)?;
    }
    Ok(())
}

struct Corpus {
    folder: PathBuf,
}

impl Corpus {
    fn put(&self, target: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
        let folder = self.folder.join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), bytes)
    }

    /// As the decoder meets them (1), and without the checksums that the targets put right (0).
    fn messages_and_items(&self) -> io::Result<()> {
        for (at, message) in vectors("messages-v1.txt")?.iter().enumerate() {
            for target in ["message_up", "message_down"] {
                self.put(target, &format!("vector-{at}"), &[&[1], &message[..]].concat())?;
                self.put(target, &format!("vector-{at}-mended"), &[&[0], &message[5..]].concat())?;
            }
        }
        for (at, item) in vectors("items-v1.txt")?.iter().enumerate() {
            self.put("item", &format!("vector-{at}"), &[&[1], &item[..]].concat())?;
            self.put("item", &format!("vector-{at}-mended"), &[&[0], &item[..item.len() - 4]].concat())?;
        }
        Ok(())
    }

    fn blocks(&self) -> io::Result<()> {
        let texts: [&[&[u8]]; 4] = [
            &[b"one line"],
            &[b"", b"\xff\xfe not text", b"two\nlines", b"{\"level\":\"warn\"}"],
            &[&b"2026-01-01T00:00:00Z INFO started"[..]; 40],
            &[&b"a"[..]; 200],
        ];
        for (at, lines) in texts.iter().enumerate() {
            let place = Place { run: RunId(5), seq: Seq(100), chain: Chain(9) };
            for (codec, name) in [(Codec::Stored, "stored"), (Codec::Zstd, "zstd"), (Codec::Strong, "strong")]
            {
                let sealed = packed::block(place, codec, lines);
                self.put("block", &format!("{name}-{at}"), &[&[0], &sealed[..sealed.len() - 4]].concat())?;
            }
            let sealed = packed::block(place, Codec::Stored, lines);
            if let Ok((ItemHeader::Block(header), columns)) = item::open(&sealed) {
                for mode in [1u8, 2] {
                    let count = (header.count as u16).to_le_bytes();
                    self.put(
                        "block",
                        &format!("columns-{mode}-{at}"),
                        &[&[mode][..], &count, columns].concat(),
                    )?;
                }
            }
        }
        Ok(())
    }

    /// Texts (0), and streams that hold one (1).
    fn lines(&self) -> io::Result<()> {
        let count = |line: fn(usize) -> String| (0..40).map(line).collect::<String>();
        let texts = [
            "pump started\n".to_owned(),
            count(|n| {
                format!(
                    "{:02}:{:02} from 10.0.{}.{}:{} took {} ms\n",
                    n / 2,
                    n % 60,
                    n % 3,
                    n % 7,
                    5000 + n,
                    n * n
                )
            }),
            count(|n| {
                format!("id={:08x} n=0x{:X} blk_{}\n", n * 0x0123_4567, n, n as u64 * 0x9e37_79b9_7f4a)
            }),
            count(|n| format!("{}{n} \u{1}\u{2}\x1b[3{}m{n:05}\n", ["a", "b", "c"][n % 3], n % 8)),
        ];
        let mut encoder = Box::new(Encoder::new());
        for (at, text) in texts.iter().enumerate() {
            self.put("lines", &format!("text-{at}"), &[&[0], text.as_bytes()].concat())?;
            let Ok(streams) = encoder.encode(text.as_bytes()) else { continue };
            let [low, high] = (text.len() as u16).to_le_bytes();
            let mut seed = vec![1, low, high];
            put_chunk(&mut seed, streams.text);
            put_chunk(&mut seed, streams.symbols);
            seed.extend_from_slice(streams.bits);
            self.put("lines", &format!("streams-{at}"), &seed)?;
        }
        Ok(())
    }

    /// Spools that were filled, acknowledged, overflowed, restarted and damaged.
    fn spools(&self) -> Result<(), Box<dyn std::error::Error>> {
        for (at, (blocks, runs, lines)) in
            [(1, 1, 1), (6, 1, 3), (3, 3, 4), (40, 2, 8)].into_iter().enumerate()
        {
            let disk = lived(blocks, runs, lines)?;
            for target in ["spool_open", "spool_export"] {
                self.put(target, &format!("spool-{at}"), &segments::seed(&disk))?;
            }
        }
        Ok(())
    }

    fn configurations(&self) -> io::Result<()> {
        for (target, path) in [
            ("config_agent", "agent/driftlog-agent.example.toml"),
            ("config_gateway", "gateway/driftlog-gateway.example.toml"),
        ] {
            let text = fs::read_to_string(root().join(path))?;
            self.put(target, "example", text.as_bytes())?;
            // Every key that the example shows as a comment, at once and one by one.
            let shown: Vec<&str> =
                text.lines().map(|line| line.trim_start_matches("# ").trim_start_matches('#')).collect();
            let keys: Vec<&str> =
                shown.iter().copied().filter(|line| line.contains(" = ") || line.starts_with('[')).collect();
            self.put(target, "keys", keys.join("\n").as_bytes())?;
            let mut section = "";
            for (at, key) in keys.iter().enumerate() {
                if key.starts_with('[') {
                    section = key;
                } else {
                    self.put(target, &format!("key-{at}"), format!("{section}\n{key}\n").as_bytes())?;
                }
            }
        }
        Ok(())
    }

    fn ledgers(&self) -> io::Result<()> {
        let mut clock = DeviceClock::new();
        let mut seed = Vec::new();
        put_chunk(&mut seed, &lane(3).encode());
        put_chunk(&mut seed, &[]);
        self.put("ledger", "lane", &seed)?;
        for exchange in 1..6 {
            let mono = Mono(exchange * 60_000_000_000);
            let wall = Unix(1_700_000_000_000_000_000 + mono.0.cast_signed());
            let returned =
                Returned { number: AckNumber { generation: 1, counter: exchange }, sent: wall, heard: mono };
            let reading = Reading { mono, wall, clock: ClockState::Synchronised, returned: Some(returned) };
            clock.handle_message(BootId([exchange as u8 / 3; 16]), &reading, Unix(wall.0 + 1_000_000));
            let mut seed = Vec::new();
            put_chunk(&mut seed, &lane(exchange as usize).encode());
            put_chunk(&mut seed, &clock.encode());
            seed.extend((0..200).map(|byte: u8| byte.wrapping_mul(7)));
            self.put("ledger", &format!("clock-{exchange}"), &seed)?;
        }
        Ok(())
    }

    fn orders(&self, target: &str, bytes_max: usize, salt: u64) -> io::Result<()> {
        for seed in 0..ORDERS_EACH {
            let mut random = Random(salt << 32 | seed);
            let length = bytes_max * (seed as usize + 1) / ORDERS_EACH as usize;
            let bytes: Vec<u8> = (0..length).map(|_| random.byte()).collect();
            self.put(target, &format!("order-{seed:02}"), &bytes)?;
        }
        Ok(())
    }
}

/// A spool after so many blocks of so many lines in each of so many runs.
fn lived(blocks: u64, runs: u64, lines: usize) -> Result<SimDisk, SpoolError> {
    let mut disk = SimDisk::new(blocks);
    for run in 1..=runs {
        let mut spool = Spool::open(disk, segments::config(), RunId(run), 1)?;
        for block in 0..blocks {
            let text = format!("line of block {block} in run {run}");
            let sealed = packed::block(spool.tail(), Codec::Zstd, &vec![text.as_bytes(); lines]);
            spool.append(Mono(1), &sealed, &[(1, &block.to_le_bytes())], &[])?;
            if block % 5 == 4
                && let Some(item) = spool.item_at(&spool.base())?
            {
                spool.trim(&item.end);
            }
        }
        disk = spool.into_disk();
    }
    Ok(disk)
}

/// A lane with so many runs, each after the one before it.
fn lane(runs: usize) -> LaneRecord {
    let mut parent = Place::ORIGIN;
    let runs = (1..=runs as u64).map(|run| {
        let begin = Place { run: RunId(run), seq: parent.seq, chain: Chain(run) };
        let place = Place { run: RunId(run), seq: Seq(parent.seq.0 + 10), chain: Chain(run + 100) };
        let marks = vec![Mark { sink: "archive".to_owned(), place, notices: 0 }];
        let (first_heard, last_echo) = (AckNumber::default(), AckNumber { generation: 1, counter: run });
        let record = RunRecord { run: RunId(run), parent, begin, first_heard, last_echo, marks };
        parent = place;
        record
    });
    LaneRecord { runs: runs.collect(), has_forgotten: false }
}

/// The bytes of every golden vector in a file: the hex behind each line `--`.
fn vectors(file: &str) -> io::Result<Vec<Vec<u8>>> {
    let text = fs::read_to_string(root().join("proto/tests/vectors").join(file))?;
    let hex = text.split("\n--\n").skip(1).map(|rest| rest.split("\n\n").next().unwrap_or_default());
    Ok(hex.map(|hex| bytes_of(&hex.replace('\n', ""))).collect())
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks_exact(2).filter_map(|pair| std::str::from_utf8(pair).ok());
    pairs.filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn byte(&mut self) -> u8 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) as u8
    }
}
