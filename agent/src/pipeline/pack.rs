//! How a block is packed: each lane does what made its last blocks smallest.
//!
//! Every [`TRIAL_BLOCKS`] blocks a lane packs one in every way and goes on with the smallest. What
//! hardly gets smaller is stored until the next trial, so that what is compressed already costs
//! next to nothing.

use std::cell::RefCell;
use std::collections::BTreeMap;

use driftlog_proto::block::{Codec, Packed, Packer};
use driftlog_proto::error::Misuse;
use driftlog_proto::lines::Encoder;

use super::room::Room;
use crate::compress::Zstd;

/// Blocks after which a lane tries every way again.
pub const TRIAL_BLOCKS: u32 = 32;
/// Codecs there are, by their numbers.
const CODECS: usize = 3;

/// How much work packing may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Cpu {
    /// The smallest block wins.
    #[default]
    Normal,
    /// The strong codec has to save a quarter of what plain zstd makes.
    Low,
}

thread_local! {
    /// The strong codec's 345 KiB, of which only what is used is touched. It is as good as new before each
    /// block. A box of it would be filled from the stack, which would keep that memory for good.
    static ENCODER: RefCell<Encoder> = const { RefCell::new(Encoder::new()) };
}

/// What all lanes pack with, beside the encoder: about 470 KiB, once, of which only what is used is touched.
pub(super) struct Packing {
    cpu: Cpu,
    zstd: Zstd,
}

impl Packing {
    pub(super) fn new(cpu: Cpu) -> Self {
        Self { cpu, zstd: Zstd::new() }
    }

    fn pack_strong(&mut self, packer: &Packer<Room>, out: &mut [u8]) -> Result<Option<Packed>, Misuse> {
        ENCODER.with_borrow_mut(|encoder| packer.pack_strong(encoder, &mut self.zstd, out))
    }
}

/// What a lane packs with, and what came of it.
#[derive(Debug)]
pub(super) struct Choice {
    codec: Codec,
    /// Blocks until the next trial.
    trial_in: u32,
    /// Blocks packed by each codec since the start.
    blocks: [u64; CODECS],
    /// Bytes of the lines packed since the start, and of the payloads they became.
    pub(super) body_bytes: u64,
    pub(super) packed_bytes: u64,
}

impl Choice {
    pub(super) fn new() -> Self {
        Self { codec: Codec::Zstd, trial_in: 0, blocks: [0; CODECS], body_bytes: 0, packed_bytes: 0 }
    }

    /// Writes the payload of the open block to the beginning of `out`.
    pub(super) fn pack(
        &mut self,
        packer: &Packer<Room>,
        packing: &mut Packing,
        out: &mut [u8],
    ) -> Result<Packed, Misuse> {
        if self.trial_in > 0 {
            return pack(self.codec, packer, packing, out);
        }
        let plain = pack(Codec::Zstd, packer, packing, out)?;
        let strong = packing.pack_strong(packer, out)?;
        let strong = strong.filter(|strong| match packing.cpu {
            Cpu::Normal => strong.bytes < plain.bytes,
            Cpu::Low => strong.bytes * 4 <= plain.bytes * 3,
        });
        let best = strong.unwrap_or(plain);
        let hardly = best.bytes * 16 > best.raw_bytes as usize * 15;
        self.codec = if hardly { Codec::Stored } else { best.codec };
        match strong {
            Some(strong) => Ok(strong),
            None => pack(best.codec, packer, packing, out),
        }
    }

    /// Blocks sealed since the start, by the names of their codecs.
    pub(super) fn blocks_by_name(&self) -> BTreeMap<String, u64> {
        let codecs = [Codec::Stored, Codec::Zstd, Codec::Strong];
        codecs.into_iter().zip(self.blocks).map(|(codec, blocks)| (codec.name().to_owned(), blocks)).collect()
    }

    /// A block was sealed that was packed so.
    pub(super) fn handle_sealed(&mut self, body_bytes: usize, packed: &Packed) {
        self.trial_in = self.trial_in.checked_sub(1).unwrap_or(TRIAL_BLOCKS - 1);
        if let Some(blocks) = self.blocks.get_mut(usize::from(packed.codec.number())) {
            *blocks += 1;
        }
        self.body_bytes += body_bytes as u64;
        self.packed_bytes += packed.bytes as u64;
    }
}

fn pack(
    codec: Codec,
    packer: &Packer<Room>,
    packing: &mut Packing,
    out: &mut [u8],
) -> Result<Packed, Misuse> {
    if codec == Codec::Strong
        && let Some(packed) = packing.pack_strong(packer, out)?
    {
        return Ok(packed);
    }
    let plain = if codec == Codec::Stored { Codec::Stored } else { Codec::Zstd };
    packer.pack(plain, &mut packing.zstd, out)
}

#[cfg(test)]
mod tests {
    use driftlog_proto::block::{Ending, Format, Part, Record, Severity, Source, WORKSPACE_BYTES};
    use driftlog_proto::limits::RAW_BYTES_MAX;
    use driftlog_proto::time::Mono;

    use super::*;

    fn packer<L: AsRef<[u8]>>(lines: impl Iterator<Item = L>) -> Packer<Room> {
        let mut packer = Packer::new(Room::new(WORKSPACE_BYTES)).unwrap();
        packer.open(Mono(0));
        packer.source(&Source { path: b"/var/log/pump.log", file: 1 }).unwrap();
        let mut offset = 0;
        for line in lines {
            let body = line.as_ref();
            let (ending, part, format) = (Ending::Newline, Part::Whole, Format::Raw);
            let (mono, severity, cut) = (Mono(0), Severity::INFO, false);
            let record = Record { mono, severity, source: 0, offset, ending, part, cut, format, body };
            packer.push(&record).unwrap();
            offset += body.len() as u64 + 1;
        }
        packer
    }

    /// Random looking, and always the same.
    fn noise(count: u64) -> impl Iterator<Item = u64> {
        (0..count).scan(1u64, |state, _| {
            *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            Some(*state >> 20)
        })
    }

    fn numbers() -> Packer<Room> {
        packer(
            noise(1000)
                .enumerate()
                .map(|(n, level)| format!("pump {n} of node {} at {}", level % 9, level % 7919)),
        )
    }

    /// Numbers, and words beside which they are little.
    fn half() -> Packer<Room> {
        let words =
            |bits: u64| (0..40).map(|at| if bits >> at & 1 == 0 { 'x' } else { 'y' }).collect::<String>();
        packer(noise(600).enumerate().map(move |(n, bits)| format!("pump {n} says {}", words(bits))))
    }

    /// Words without a number: templates are of no use.
    fn words() -> Packer<Room> {
        let word = |bits: u64| if bits & 1 == 0 { "ab" } else { "ba" };
        packer(noise(800).map(|bits| (0..30).map(|at| word(bits >> at)).collect::<String>()))
    }

    fn incompressible() -> Packer<Room> {
        let mut bits = noise(60_000);
        packer(
            (0..100)
                .map(move |_| bits.by_ref().take(600).map(|bits| (bits % 256) as u8).collect::<Vec<u8>>()),
        )
    }

    fn codecs(cpu: Cpu, packer: &Packer<Room>, blocks: usize) -> Vec<Codec> {
        let (mut packing, mut choice) = (Packing::new(cpu), Choice::new());
        let mut out = vec![0; RAW_BYTES_MAX];
        (0..blocks)
            .map(|_| {
                let packed = choice.pack(packer, &mut packing, &mut out).unwrap();
                choice.handle_sealed(packer.body_bytes(), &packed);
                packed.codec
            })
            .collect()
    }

    #[test]
    fn what_is_smallest_at_the_trial_is_what_follows() {
        assert_eq!(codecs(Cpu::Normal, &numbers(), 40), vec![Codec::Strong; 40]);
        assert_eq!(codecs(Cpu::Normal, &words(), 40), vec![Codec::Zstd; 40]);
    }

    #[test]
    fn a_slow_device_takes_the_strong_codec_only_for_a_quarter() {
        let (mut packing, mut out) = (Packing::new(Cpu::Low), vec![0; RAW_BYTES_MAX]);
        let mut is_worth_it = |packer| {
            let plain = pack(Codec::Zstd, packer, &mut packing, &mut out).unwrap().bytes;
            let strong = pack(Codec::Strong, packer, &mut packing, &mut out).unwrap();
            strong.codec == Codec::Strong && strong.bytes * 4 <= plain * 3
        };
        let (much, little) = (numbers(), half());
        assert!(is_worth_it(&much) && !is_worth_it(&little));
        assert_eq!(codecs(Cpu::Low, &much, 2), [Codec::Strong; 2]);
        assert_eq!(codecs(Cpu::Low, &little, 2), [Codec::Zstd; 2]);
        assert_eq!(codecs(Cpu::Normal, &little, 2), [Codec::Strong; 2], "it is smaller all the same");
    }

    #[test]
    fn what_hardly_gets_smaller_is_stored_until_the_next_trial() {
        let blocks = TRIAL_BLOCKS as usize + 2;
        assert_eq!(codecs(Cpu::Normal, &incompressible(), blocks), vec![Codec::Stored; blocks]);
    }

    #[test]
    fn another_kind_of_line_is_noticed_at_the_next_trial() {
        let (mut packing, mut choice) = (Packing::new(Cpu::Normal), Choice::new());
        let mut out = vec![0; RAW_BYTES_MAX];
        let noisy = incompressible();
        let packed = choice.pack(&noisy, &mut packing, &mut out).unwrap();
        choice.handle_sealed(noisy.body_bytes(), &packed);
        let numbers = numbers();
        let mut codecs = Vec::new();
        for _ in 0..TRIAL_BLOCKS {
            let packed = choice.pack(&numbers, &mut packing, &mut out).unwrap();
            choice.handle_sealed(numbers.body_bytes(), &packed);
            codecs.push(packed.codec);
        }
        assert_eq!(codecs.last(), Some(&Codec::Strong));
        assert_eq!(choice.blocks.iter().sum::<u64>(), u64::from(TRIAL_BLOCKS) + 1);
    }
}
