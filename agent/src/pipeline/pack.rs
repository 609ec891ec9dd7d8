//! How a block is packed: each lane does what made its last blocks smallest.
//!
//! Every [`TRIAL_BLOCKS`] blocks, and where there is something new to refer to, a lane packs one in every
//! way and goes on with the smallest. Where there is nothing to refer to yet, the strong codec may be a
//! little larger than zstd, for what it will be worth to the blocks behind it. What
//! hardly gets smaller is stored until the next trial, so that what is compressed already costs
//! next to nothing. With the strong codec a block refers to earlier ones where there are such; where that
//! saves less than a twentieth, the trial's block refers to nothing, and the next ones to it.

use std::cell::RefCell;
use std::collections::BTreeMap;

use driftlog_proto::block::{Codec, Packed, Packer};
use driftlog_proto::error::Misuse;
use driftlog_proto::ids::Seq;
use driftlog_proto::lines::Encoder;

use super::learned::{Learned, Sealed};
use super::room::Room;
use crate::compress::Zstd;

/// Blocks after which a lane tries every way again.
pub const TRIAL_BLOCKS: u32 = 32;

/// How much work packing may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Cpu {
    /// The smallest block wins.
    #[default]
    Normal,
    /// The strong codec has to save a quarter of what plain zstd makes.
    Low,
}

impl Cpu {
    /// Whether what the strong codec made is worth its work.
    const fn takes(self, strong: &Packed, plain: &Packed) -> bool {
        match self {
            Self::Normal => strong.bytes < plain.bytes,
            Self::Low => strong.bytes * 4 <= plain.bytes * 3,
        }
    }

    /// Whether it is worth having it to refer to, though it is no smaller by itself.
    const fn invests(self, strong: &Packed, plain: &Packed) -> bool {
        matches!(self, Self::Normal) && strong.bytes * 4 <= plain.bytes * 5
    }
}

thread_local! {
    /// The strong codec's 345 KiB, of which only what is used is touched. It is as good as new before each
    /// block. A box of it would be filled from the stack, which would keep that memory for good.
    static ENCODER: RefCell<Encoder> = const { RefCell::new(Encoder::new()) };
}

/// What all lanes pack with, beside the encoder: about 470 KiB, of which only what is used is touched.
pub struct Packing {
    cpu: Cpu,
    /// None while it rests.
    zstd: Option<Zstd>,
}

impl Packing {
    /// Takes no memory yet.
    #[must_use]
    pub const fn new(cpu: Cpu) -> Self {
        Self { cpu, zstd: None }
    }

    /// Gives the memory back, until the next block.
    pub(super) fn rest(&mut self) {
        self.zstd = None;
    }

    fn zstd(&mut self) -> &mut Zstd {
        self.zstd.get_or_insert_with(Zstd::new)
    }

    fn pack_strong(&mut self, packer: &Packer<Room>, out: &mut [u8]) -> Result<Option<Packed>, Misuse> {
        ENCODER.with_borrow_mut(|encoder| packer.pack_strong(encoder, self.zstd(), out))
    }
}

/// What a lane packs with, and what came of it.
#[derive(Debug)]
pub struct Choice {
    codec: Codec,
    pub(super) learned: Learned,
    /// Blocks until the next trial.
    trial_in: u32,
    /// Blocks packed by each codec since the start.
    blocks: [u64; Codec::ALL.len()],
    /// What became of all lines since the start, and of those of each known file.
    pub(super) ratio: Ratio,
    files: BTreeMap<u64, Ratio>,
}

/// What became of the lines that were packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ratio {
    /// Their bytes.
    pub(super) body_bytes: u64,
    /// Bytes of the payloads; of a block of several files each has a share by the bytes of its lines.
    pub(super) packed_bytes: u64,
}

impl Ratio {
    pub(super) fn add(&mut self, other: &Self) {
        self.body_bytes += other.body_bytes;
        self.packed_bytes += other.packed_bytes;
    }
}

impl Default for Choice {
    fn default() -> Self {
        Self::new()
    }
}

impl Choice {
    /// Nothing was packed yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            codec: Codec::Zstd,
            learned: Learned::new(),
            trial_in: 0,
            blocks: [0; Codec::ALL.len()],
            ratio: Ratio::default(),
            files: BTreeMap::new(),
        }
    }

    /// Writes the payload of the open block, whose first number is `first`, to the beginning of `out`. It
    /// refers only to blocks of this segment.
    ///
    /// # Errors
    /// [`Misuse`] when there is no record, or no room for them.
    pub fn pack(
        &mut self,
        packer: &Packer<Room>,
        first: Seq,
        segment: Option<u64>,
        packing: &mut Packing,
        out: &mut [u8],
    ) -> Result<Packed, Misuse> {
        let is_usable = self.learned.usable(segment, packer.raw_bytes()).is_some();
        if self.trial_in > 0 && (self.learned.is_tried || !is_usable) {
            if self.codec == Codec::Strong
                && let Some(packed) = self.pack_referring(packer, first, segment, packing, out)?
            {
                return Ok(packed);
            }
            return pack(self.codec, packer, packing, out);
        }
        self.trial_in = 0;
        self.learned.is_tried = is_usable;
        let plain = pack(Codec::Zstd, packer, packing, out)?;
        let referring = self.pack_referring(packer, first, segment, packing, out)?;
        let strong = packing.pack_strong(packer, out)?;
        let is_much_less = |less: &Packed| strong.is_none_or(|strong| less.bytes * 20 <= strong.bytes * 19);
        if referring.is_some_and(|packed| is_much_less(&packed) && packing.cpu.takes(&packed, &plain))
            && let Some(again) = self.pack_referring(packer, first, segment, packing, out)?
        {
            self.codec = Codec::Strong;
            return Ok(again);
        }
        let strong = strong.filter(|strong| {
            packing.cpu.takes(strong, &plain) || !is_usable && packing.cpu.invests(strong, &plain)
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
        Codec::ALL
            .into_iter()
            .zip(self.blocks)
            .map(|(codec, blocks)| (codec.name().to_owned(), blocks))
            .collect()
    }

    fn pack_referring(
        &self,
        packer: &Packer<Room>,
        first: Seq,
        segment: Option<u64>,
        packing: &mut Packing,
        out: &mut [u8],
    ) -> Result<Option<Packed>, Misuse> {
        let Some((reference, prefix)) = self.learned.usable(segment, packer.raw_bytes()) else {
            return Ok(None);
        };
        ENCODER.with_borrow_mut(|encoder| {
            packer.pack_referring(first, reference, prefix, encoder, packing.zstd(), out)
        })
    }

    /// A block was sealed that was packed so.
    ///
    /// # Errors
    /// [`Misuse`] when there is no record.
    pub fn handle_sealed(
        &mut self,
        packer: &Packer<Room>,
        packed: &Packed,
        sealed: &Sealed,
    ) -> Result<(), Misuse> {
        ENCODER.with_borrow_mut(|encoder| self.learned.handle_sealed(packer, packed, sealed, encoder))?;
        self.trial_in = self.trial_in.checked_sub(1).unwrap_or(TRIAL_BLOCKS - 1);
        if let Some(blocks) = self.blocks.get_mut(usize::from(packed.codec.number())) {
            *blocks += 1;
        }
        let (body_bytes, packed_bytes) = (packer.body_bytes() as u64, packed.bytes as u64);
        self.ratio.add(&Ratio { body_bytes, packed_bytes });
        for (file, bytes) in packer.files() {
            let share = u64::from(bytes) * packed_bytes / body_bytes.max(1);
            let share = Ratio { body_bytes: u64::from(bytes), packed_bytes: share };
            self.files.entry(file).or_default().add(&share);
        }
        Ok(())
    }

    /// What became of a file's lines.
    pub(super) fn ratio_of(&self, file: u64) -> Ratio {
        self.files.get(&file).copied().unwrap_or_default()
    }

    /// Forgets the files that are not known any longer.
    pub(super) fn keep(&mut self, is_known: impl Fn(u64) -> bool) {
        self.files.retain(|&file, _| is_known(file));
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
    packer.pack(plain, packing.zstd(), out)
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

    /// A lane whose blocks all come into one segment, until it is told otherwise.
    struct Rig {
        packing: Packing,
        choice: Choice,
        next: Seq,
        segment: u64,
        out: Vec<u8>,
    }

    impl Rig {
        fn new(cpu: Cpu) -> Self {
            let out = vec![0; RAW_BYTES_MAX];
            Self { packing: Packing::new(cpu), choice: Choice::new(), next: Seq::ZERO, segment: 1, out }
        }

        fn seal(&mut self, packer: &Packer<Room>) -> Packed {
            let segment = Some(self.segment);
            let packed =
                self.choice.pack(packer, self.next, segment, &mut self.packing, &mut self.out).unwrap();
            let end = Seq(self.next.0 + u64::from(packer.count()));
            let sealed =
                Sealed { first: self.next, end, checksum: 1, bytes: packed.bytes, segment: self.segment };
            self.choice.handle_sealed(packer, &packed, &sealed).unwrap();
            self.next = end;
            packed
        }

        fn codecs(&mut self, packer: &Packer<Room>, blocks: usize) -> Vec<Codec> {
            (0..blocks).map(|_| self.seal(packer).codec).collect()
        }
    }

    fn codecs(cpu: Cpu, packer: &Packer<Room>, blocks: usize) -> Vec<Codec> {
        Rig::new(cpu).codecs(packer, blocks)
    }

    fn one_and_then(first: Codec, then: Codec, blocks: usize) -> Vec<Codec> {
        (0..blocks).map(|at| if at == 0 { first } else { then }).collect()
    }

    #[test]
    fn what_is_smallest_at_the_trial_is_what_follows() {
        let expected = one_and_then(Codec::Strong, Codec::Referring, 40);
        assert_eq!(codecs(Cpu::Normal, &numbers(), 40), expected);
        // The first is a little larger so, and would have been worth it to those behind it.
        let expected = one_and_then(Codec::Strong, Codec::Zstd, 40);
        assert_eq!(codecs(Cpu::Normal, &words(), 40), expected);
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
        assert_eq!(codecs(Cpu::Low, &much, 2), [Codec::Strong, Codec::Referring]);
        assert_eq!(codecs(Cpu::Low, &little, 2), [Codec::Zstd; 2]);
        let all_the_same = codecs(Cpu::Normal, &little, 2);
        assert_eq!(all_the_same, [Codec::Strong, Codec::Referring], "it is smaller all the same");
    }

    #[test]
    fn what_hardly_gets_smaller_is_stored_until_the_next_trial() {
        let blocks = TRIAL_BLOCKS as usize + 2;
        assert_eq!(codecs(Cpu::Normal, &incompressible(), blocks), vec![Codec::Stored; blocks]);
    }

    #[test]
    fn another_kind_of_line_is_noticed_at_the_next_trial() {
        let mut rig = Rig::new(Cpu::Normal);
        rig.seal(&incompressible());
        let codecs = rig.codecs(&numbers(), TRIAL_BLOCKS as usize);
        assert_eq!(codecs.last(), Some(&Codec::Strong));
        assert_eq!(rig.choice.blocks.iter().sum::<u64>(), u64::from(TRIAL_BLOCKS) + 1);
    }

    #[test]
    fn a_segment_begins_with_blocks_that_refer_to_nothing() {
        let mut rig = Rig::new(Cpu::Normal);
        let small = packer((0..40).map(|n| format!("pump {n} of node {} at {}", n % 9, n * 37 % 101)));
        assert!((2 * 1024..6 * 1024).contains(&(3 * small.raw_bytes())), "three of them are few");
        for segment in 1..4 {
            rig.segment = segment;
            let codecs = rig.codecs(&small, 5);
            assert_eq!(codecs[..3], [Codec::Strong; 3], "segment {segment}");
            assert_eq!(codecs[3..], [Codec::Referring; 2], "segment {segment}");
        }
        // One that is much larger is not helped by three lines, and helps those behind it.
        assert_eq!(rig.codecs(&numbers(), 2), [Codec::Strong, Codec::Referring]);
        assert_eq!(rig.seal(&small).codec, Codec::Referring);
    }

    #[test]
    fn when_what_is_referred_to_helps_no_longer_the_trial_begins_anew() {
        let mut rig = Rig::new(Cpu::Normal);
        rig.codecs(&numbers(), 3);
        let others =
            packer((0..900).map(|n| format!("user{n}@host: session opened for uid={}", n * n % 997)));
        let codecs = rig.codecs(&others, TRIAL_BLOCKS as usize);
        let at = codecs.iter().position(|codec| *codec == Codec::Strong).expect("a trial");
        assert!(codecs[at + 1..].iter().all(|codec| *codec == Codec::Referring), "{codecs:?}");
    }
}
