//! The header of a segment: what stands at the head of each spool file, twice.
//!
//! ```text
//! offset  size  what
//! 0       8     magic "driftspl"
//! 8       2     format version (1)
//! 10      1     lane
//! 11      1     bit 0: a run begins with the first item of this segment
//! 12      4     salt: seeds the checksums of this segment's frames
//! 16      8     index: 1, 2, 3, … in the order of the log; never used again
//! 24      8     index of the segment before it in the log, 0 if there is none
//! 32      8     index of the oldest segment that was still needed
//! 40      8     fingerprint of the hardware
//! 48      24    first place (run, seq, chain): it ends the segment before
//! 72      1     how many runs follow: 0 to 24
//! 73      7     zero
//! 80      384   the run in force and the runs before it, newest first, as (run, N)
//! 464     4     offset up to which it must be whole to count: behind the checkpoint, or behind the
//!               frames that were carried over from a file that failed
//! 468     40    zero
//! 508     4     CRC-32C of bytes 0 to 508
//! ```
//!
//! All numbers are little endian. The second copy follows at 512, the first frame at 1024.

use driftlog_proto::checksum::crc32c;
use driftlog_proto::ids::{Chain, Lane, Place, RunId, Seq};
use driftlog_proto::limits::SEQ_MAX;

use super::bytes::{array, put_place, take_place};

/// Bytes of one copy of the header.
pub(crate) const HEADER_BYTES: usize = 512;
/// Where the first frame stands, behind the two copies.
pub(crate) const FRAMES_AT: u32 = 1024;
/// The version of the format.
pub const SPOOL_VERSION: u16 = 1;
/// Runs that a header lists. A hole that swallowed more of them states the newest.
pub(crate) const LINEAGE_MAX: usize = 24;

/// The highest index that counts: frames, and what is handed out, name a segment by the low 32 bits of it.
const INDEX_MAX: u64 = 1 << 31;

const MAGIC: &[u8; 8] = b"driftspl";
const CHECKSUM_AT: usize = HEADER_BYTES - 4;
const LINEAGE_AT: usize = 80;
const WHOLE_AT: usize = 464;

/// What a segment says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) lane: Lane,
    /// The first item is a start.
    pub(crate) begins_run: bool,
    pub(crate) salt: u32,
    pub(crate) index: u64,
    pub(crate) previous: u64,
    pub(crate) oldest: u64,
    pub(crate) hardware: u64,
    /// Up to here it must be whole, or it was torn while it was opened and counts for nothing.
    pub(crate) whole: u32,
    pub(crate) first: Place,
    /// The run in force and those before it, newest first.
    pub(crate) lineage: Vec<(RunId, Seq)>,
}

/// What 512 bytes turned out to be.
pub(crate) enum Decoded {
    Header(Header),
    /// A whole header of another format version.
    Version(u16),
    /// Torn, rotten, or never a header.
    Nothing,
}

impl Header {
    /// Both copies.
    pub(crate) fn encode(&self) -> [u8; FRAMES_AT as usize] {
        let mut out = Vec::with_capacity(FRAMES_AT as usize);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&SPOOL_VERSION.to_le_bytes());
        out.push(self.lane.index() as u8);
        out.push(u8::from(self.begins_run));
        out.extend_from_slice(&self.salt.to_le_bytes());
        for number in [self.index, self.previous, self.oldest, self.hardware] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        put_place(&mut out, &self.first);
        let lineage = self.lineage.get(..LINEAGE_MAX).unwrap_or(&self.lineage);
        out.push(lineage.len() as u8);
        out.resize(LINEAGE_AT, 0);
        for (run, n) in lineage {
            out.extend_from_slice(&run.0.to_le_bytes());
            out.extend_from_slice(&n.0.to_le_bytes());
        }
        out.resize(WHOLE_AT, 0);
        out.extend_from_slice(&self.whole.to_le_bytes());
        out.resize(CHECKSUM_AT, 0);
        out.extend_from_slice(&crc32c(&out).to_le_bytes());
        out.extend_from_within(..HEADER_BYTES);
        array(&out, 0).unwrap_or([0; FRAMES_AT as usize])
    }

    /// Reads one copy.
    pub(crate) fn decode(bytes: &[u8]) -> Decoded {
        Self::parse(bytes).unwrap_or(Decoded::Nothing)
    }

    fn parse(bytes: &[u8]) -> Option<Decoded> {
        let covered = bytes.get(..CHECKSUM_AT)?;
        if covered.get(..MAGIC.len())? != MAGIC || crc32c(covered).to_le_bytes() != array(bytes, CHECKSUM_AT)?
        {
            return None;
        }
        let version = u16::from_le_bytes(array(bytes, 8)?);
        if version != SPOOL_VERSION {
            return Some(Decoded::Version(version));
        }
        let number = |at| array(bytes, at).map(u64::from_le_bytes);
        // No spool lives that long, and what comes after it must have a number too.
        let index = number(16).filter(|index| (1..=INDEX_MAX).contains(index))?;
        let lane_index = usize::from(*bytes.get(10)?);
        let runs = usize::from(*bytes.get(72)?).min(LINEAGE_MAX);
        let is_number = |seq: &Seq| seq.0 <= SEQ_MAX;
        let first = take_place(bytes, 48).filter(|first| is_number(&first.seq))?;
        let lineage = (0..runs)
            .map(|run| {
                let at = LINEAGE_AT + run * 16;
                let n = number(at + 8).map(Seq).filter(is_number)?;
                Some((RunId(number(at)?), n))
            })
            .collect::<Option<Vec<_>>>()?;
        Some(Decoded::Header(Self {
            lane: Lane::ALL.into_iter().find(|lane| lane.index() == lane_index)?,
            begins_run: *bytes.get(11)? & 1 == 1,
            salt: u32::from_le_bytes(array(bytes, 12)?),
            index,
            previous: number(24)?,
            oldest: number(32)?,
            hardware: number(40)?,
            whole: u32::from_le_bytes(array(bytes, WHOLE_AT)?),
            first,
            lineage,
        }))
    }
}

/// A salt for the segment `index` of `run`: unlike that of any other with all likelihood, so that a
/// frame which an earlier life of the file left behind never passes for a live one.
pub(crate) fn salt(run: RunId, index: u64, lane: Lane) -> u32 {
    let mut bytes = Vec::with_capacity(17);
    bytes.extend_from_slice(&run.0.to_le_bytes());
    bytes.extend_from_slice(&index.to_le_bytes());
    bytes.push(lane.index() as u8);
    Chain::after(&bytes).0 as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            lane: Lane::Urgent,
            begins_run: true,
            salt: 1,
            index: 2,
            previous: 3,
            oldest: 4,
            hardware: 5,
            whole: 6,
            first: Place { run: RunId(7), seq: Seq(8), chain: Chain(9) },
            lineage: (0..LINEAGE_MAX as u64).map(|run| (RunId(100 + run), Seq(200 - run))).collect(),
        }
    }

    fn decoded(bytes: &[u8]) -> Option<Header> {
        match Header::decode(bytes) {
            Decoded::Header(header) => Some(header),
            Decoded::Version(_) | Decoded::Nothing => None,
        }
    }

    #[test]
    fn both_copies_of_a_header_say_what_was_written() {
        for other in [
            header(),
            Header { lane: Lane::Bulk, begins_run: false, ..header() },
            Header { lineage: Vec::new(), ..header() },
            Header { lineage: vec![(RunId(1), Seq(2))], ..header() },
        ] {
            let bytes = other.encode();
            assert_eq!(decoded(&bytes[..HEADER_BYTES]), Some(other.clone()));
            assert_eq!(decoded(&bytes[HEADER_BYTES..]), Some(other));
        }
    }

    #[test]
    fn of_a_longer_line_the_newest_runs_are_kept() {
        let mut long = header();
        long.lineage.push((RunId(999), Seq(0)));
        assert_eq!(decoded(&long.encode()), Some(header()));
    }

    #[test]
    fn a_header_with_any_byte_changed_or_missing_is_none() {
        let bytes = header().encode();
        for at in 0..HEADER_BYTES {
            let mut rotten = bytes;
            rotten[at] ^= 1;
            assert!(decoded(&rotten).is_none(), "byte {at}");
        }
        assert!(decoded(&bytes[..HEADER_BYTES - 1]).is_none());
        assert!(decoded(&[0; HEADER_BYTES]).is_none());
    }

    /// Found by fuzzing `spool export`: a gap of more records than there can be.
    #[test]
    fn a_header_with_a_number_that_no_record_can_have_is_none() {
        let first = |seq| Place { seq: Seq(seq), ..header().first };
        let highest = Header { first: first(SEQ_MAX), lineage: vec![(RunId(1), Seq(SEQ_MAX))], ..header() };
        assert_eq!(decoded(&highest.encode()), Some(highest.clone()));
        for above in [
            Header { first: first(SEQ_MAX + 1), ..header() },
            Header { lineage: vec![(RunId(1), Seq(SEQ_MAX + 1))], ..header() },
        ] {
            assert_eq!(decoded(&above.encode()), None);
        }
    }

    /// Found by fuzzing recovery: beside a segment 1 one was opened whose low bits were 1 too, and what stood in it
    /// could not be read.
    #[test]
    fn a_header_with_an_index_of_more_than_its_low_bits_is_none() {
        let highest = Header { index: INDEX_MAX, ..header() };
        assert_eq!(decoded(&highest.encode()), Some(highest));
        for index in [0, INDEX_MAX + 1, 1 << 32, (1 << 32) + 1] {
            assert_eq!(decoded(&Header { index, ..header() }.encode()), None);
        }
    }

    #[test]
    fn a_salt_depends_on_run_index_and_lane() {
        let one = salt(RunId(1), 1, Lane::Bulk);
        assert_eq!(one, salt(RunId(1), 1, Lane::Bulk));
        for other in
            [salt(RunId(2), 1, Lane::Bulk), salt(RunId(1), 2, Lane::Bulk), salt(RunId(1), 1, Lane::Urgent)]
        {
            assert_ne!(one, other);
        }
    }
}
