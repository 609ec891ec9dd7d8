//! Integers of variable length, as postcard writes them: seven bits a byte, lowest first, the
//! high bit set on every byte but the last (LEB128). Signed ones are zigzag first.

/// Bytes that a 64-bit integer may take.
pub(crate) const VARINT_BYTES_MAX: usize = 10;

/// One encoded integer.
pub(crate) struct Varint {
    bytes: [u8; VARINT_BYTES_MAX],
    used: usize,
}

impl Varint {
    /// Encodes an unsigned integer.
    pub(crate) fn new(mut value: u64) -> Self {
        let mut bytes = [0; VARINT_BYTES_MAX];
        let mut used = 0;
        for byte in &mut bytes {
            used += 1;
            // The mask keeps seven bits, so nothing is lost.
            *byte = (value & 0x7f) as u8;
            value >>= 7;
            if value == 0 {
                break;
            }
            *byte |= 0x80;
        }
        Self { bytes, used }
    }

    /// Encodes a signed integer: small distances in either direction are short.
    pub(crate) fn signed(value: i64) -> Self {
        Self::new(((value << 1) ^ (value >> 63)).cast_unsigned())
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or_default()
    }
}

/// Bytes that an integer takes.
pub(crate) fn varint_bytes(value: u64) -> usize {
    let bits = u64::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// Takes an unsigned integer off the front of `input`; `None` when it ends too early or does not
/// fit 64 bits. One that is longer than it need be is accepted, as postcard does.
pub(crate) fn take(input: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for at in 0..VARINT_BYTES_MAX {
        let (&byte, rest) = input.split_first()?;
        *input = rest;
        if at == VARINT_BYTES_MAX - 1 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Takes a signed integer off the front of `input`.
pub(crate) fn take_signed(input: &mut &[u8]) -> Option<i64> {
    let value = take(input)?;
    Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDGES: [u64; 10] = [0, 1, 127, 128, 16383, 16384, u32::MAX as u64, 1 << 62, u64::MAX - 1, u64::MAX];

    #[test]
    fn an_integer_comes_back_and_its_length_was_foretold() {
        for value in EDGES {
            let varint = Varint::new(value);
            assert_eq!(varint.bytes().len(), varint_bytes(value), "length of {value}");
            let mut input = varint.bytes();
            assert_eq!(take(&mut input), Some(value));
            assert!(input.is_empty());
            let signed = value.cast_signed();
            assert_eq!(take_signed(&mut Varint::signed(signed).bytes()), Some(signed));
        }
    }

    #[test]
    fn an_integer_that_ends_too_early_or_overflows_is_refused() {
        assert_eq!(take(&mut &[][..]), None);
        assert_eq!(take(&mut &[0x80, 0x80][..]), None);
        assert_eq!(take(&mut &[0xff; 10][..]), None);
        assert_eq!(take(&mut &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2][..]), None);
        assert_eq!(take(&mut &[0x80, 0][..]), Some(0), "longer than need be, as postcard accepts it");
    }

    #[test]
    fn our_integers_are_those_of_postcard() {
        for value in EDGES {
            let mut room = [0; VARINT_BYTES_MAX];
            assert_eq!(postcard::to_slice(&value, &mut room).unwrap(), Varint::new(value).bytes());
            let signed = value.cast_signed();
            assert_eq!(postcard::to_slice(&signed, &mut room).unwrap(), Varint::signed(signed).bytes());
        }
    }
}
