//! Room for what is packed: zeros of which only what is used takes memory.
//!
//! A box of zeros is filled with them by some C libraries, so that all of it takes memory at once: a lane's
//! room is 210 KiB, and a quiet lane uses a tenth of it.

use std::alloc::{Layout, handle_alloc_error};

use memmap2::MmapMut;

/// So many bytes, zero at first.
#[derive(Debug)]
pub struct Room(MmapMut);

impl Room {
    /// Takes the memory; ends the process where there is no memory, as a box would.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let room = MmapMut::map_anon(bytes);
        Self(room.unwrap_or_else(|_| {
            handle_alloc_error(Layout::array::<u8>(bytes).unwrap_or(Layout::new::<u8>()))
        }))
    }
}

impl AsRef<[u8]> for Room {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl AsMut<[u8]> for Room {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}
