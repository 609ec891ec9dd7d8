//! Where MQTT packets begin and end in a stream (MQTT 3.1.1, section 2), so that one can be hit.

/// A packet shorter than this is not hit: a greeting has no checksum of its own, an item has.
const BYTES_MIN: u32 = 400;
const PUBLISH: u8 = 3;

/// Follows the packets of one direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Packets {
    state: State,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// The next byte begins a packet.
    #[default]
    Head,
    /// In the remaining length, a number of up to four groups of seven bits.
    Length { kind: u8, shift: u32, length: u32 },
    /// In what follows the length; `hit` is the byte, counted back from the end, that is to be changed.
    Body { left: u32, hit: Option<u32> },
}

impl Packets {
    /// Passes bytes on; changes one byte of each PUBLISH packet that carries an item and for which
    /// `is_hit` says yes. Returns how many it changed.
    pub(super) fn pass(&mut self, bytes: &mut [u8], mut is_hit: impl FnMut() -> bool) -> u32 {
        let mut changed = 0;
        let mut at = 0;
        while let Some(byte) = bytes.get(at).copied() {
            match self.state {
                State::Head => {
                    self.state = State::Length { kind: byte >> 4, shift: 0, length: 0 };
                    at += 1;
                }
                State::Length { kind, shift, length } => {
                    let length = length | (u32::from(byte & 0x7f) << shift);
                    self.state = if byte & 0x80 != 0 && shift < 21 {
                        State::Length { kind, shift: shift + 7, length }
                    } else {
                        let is_item = kind == PUBLISH && length >= BYTES_MIN;
                        // Three quarters in, it hits the payload's columns, behind all headers.
                        State::Body { left: length, hit: (is_item && is_hit()).then_some(length / 4) }
                    };
                    self.leave_empty_body();
                    at += 1;
                }
                State::Body { left, hit } => {
                    let here = left.min(u32::try_from(bytes.len() - at).unwrap_or(u32::MAX));
                    if let Some(hit) = hit
                        && hit < left
                        && hit >= left - here
                        && let Some(byte) = bytes.get_mut(at + (left - 1 - hit) as usize)
                    {
                        *byte ^= 0x40;
                        changed += 1;
                    }
                    self.state = State::Body { left: left - here, hit };
                    self.leave_empty_body();
                    at += here as usize;
                }
            }
        }
        changed
    }

    fn leave_empty_body(&mut self) {
        if let State::Body { left: 0, .. } = self.state {
            self.state = State::Head;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(kind: u8, bytes: usize) -> Vec<u8> {
        let mut packet = vec![kind << 4 | 2];
        let mut rest = bytes;
        loop {
            let low = (rest & 0x7f) as u8;
            rest >>= 7;
            packet.push(if rest > 0 { low | 0x80 } else { low });
            if rest == 0 {
                break;
            }
        }
        packet.resize(packet.len() + bytes, 0x33);
        packet
    }

    #[test]
    fn one_byte_of_the_first_large_publish_is_changed_however_the_stream_is_cut() {
        let packets = [packet(1, 40), packet(3, 100), packet(12, 0), packet(3, 70_000), packet(3, 500)];
        let whole = packets.concat();
        let behind: usize = packets[..3].iter().map(Vec::len).sum();
        for piece in [1, 2, 3, 7, 1000, whole.len()] {
            let (mut reader, mut hits) = (Packets::default(), 1);
            let mut passed = Vec::new();
            let mut changed = 0;
            for part in whole.chunks(piece) {
                let mut part = part.to_vec();
                changed += reader.pass(&mut part, || std::mem::take(&mut hits) > 0);
                passed.extend(part);
            }
            let differ: Vec<usize> = (0..whole.len()).filter(|&at| whole[at] != passed[at]).collect();
            assert_eq!(changed, 1);
            assert_eq!(differ, [behind + 4 + 70_000 - 1 - 17_500], "in pieces of {piece}");
        }
    }

    #[test]
    fn small_packets_and_other_kinds_pass_unharmed() {
        let mut bytes = [packet(3, 399), packet(4, 2), packet(8, 5000)].concat();
        let before = bytes.clone();
        assert_eq!(Packets::default().pass(&mut bytes, || true), 0);
        assert_eq!(bytes, before);
    }
}
