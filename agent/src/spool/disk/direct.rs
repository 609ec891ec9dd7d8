//! Writing past the page cache, by sectors.
//!
//! The cache writes pages: of a frame of some hundred bytes 4 KiB, and the page in which the frame before it
//! ended once more. By sectors it is what the frame takes, and half a sector at each end.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

/// What such a write is a multiple of, in the file and in memory. A disk of larger sectors refuses it.
const SECTOR_BYTES: usize = 512;
/// Written at a time.
const ROOM_BYTES: usize = 16 * 1024;

#[derive(Debug)]
#[repr(align(512))]
struct Room([u8; ROOM_BYTES]);

/// Writes by sectors as long as the file system does.
#[derive(Debug)]
pub(super) struct DirectWriter {
    room: Box<Room>,
    is_refused: bool,
}

impl DirectWriter {
    pub(super) fn new() -> Self {
        Self { room: Box::new(Room([0; ROOM_BYTES])), is_refused: false }
    }

    /// Writes `bytes` at `at`, or as many of them as can be written so, and returns how many. The others are
    /// for the page cache: all, where the file system knows no such writes, and those in a sector that
    /// is not wholly the file's.
    ///
    /// # Errors
    /// When the flash failed; any part may stand in the file.
    pub(super) fn write_at(&mut self, file: &File, at: u64, bytes: &[u8]) -> io::Result<usize> {
        if self.is_refused {
            return Ok(0);
        }
        let flags = fcntl_getfl(file)?;
        // Only while it writes: what is read comes from the cache.
        if fcntl_setfl(file, flags | OFlags::DIRECT).is_err() {
            self.is_refused = true;
            return Ok(0);
        }
        let mut done = 0;
        let written = self.write_sectors(file, at, bytes, &mut done);
        fcntl_setfl(file, flags)?;
        match written {
            Err(error)
                if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) =>
            {
                self.is_refused = true;
                Ok(done)
            }
            written => written.map(|()| done),
        }
    }

    fn write_sectors(&mut self, file: &File, at: u64, bytes: &[u8], done: &mut usize) -> io::Result<()> {
        let length = file.metadata()?.len();
        while let Some(rest) = bytes.get(*done..).filter(|rest| !rest.is_empty()) {
            let from = at + *done as u64;
            let head = (from % SECTOR_BYTES as u64) as usize;
            let start = from - head as u64;
            let taken = rest.len().min(ROOM_BYTES - head);
            let end = head + taken;
            let whole = end.next_multiple_of(SECTOR_BYTES);
            if start + whole as u64 > length {
                break;
            }
            let room = &mut self.room.0[..whole];
            // What stands around it in the first sector and in the last.
            if head > 0 {
                file.read_exact_at(&mut room[..SECTOR_BYTES], start)?;
            }
            let last = whole - SECTOR_BYTES;
            if end < whole && (last > 0 || head == 0) {
                file.read_exact_at(&mut room[last..], start + last as u64)?;
            }
            room[head..end].copy_from_slice(&rest[..taken]);
            match file.write_at(room, start) {
                Ok(written) if written == whole => *done += taken,
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                // In part or not at all: the cache has the rest.
                Ok(_) | Err(_) => break,
            }
        }
        Ok(())
    }
}
