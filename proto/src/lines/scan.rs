//! Where the variables of a line are.
//!
//! A *word* is a longest run of letters and digits, where bytes from 0x80 on count as letters. A
//! word without a digit stays in the template. Of a word with one:
//!
//! | the word | variables |
//! | --- | --- |
//! | 1 to 19 digits | the word |
//! | 4 or more digits and letters a to f of one case, or 20 or more digits | pieces of 16, the last what is left |
//! | `0x` or `0X`, then 1 to 16 hexadecimal digits of one case | what follows the `0x` |
//! | one or two runs of digits, none longer than 19 | each run |
//! | any other | the word |

use core::ops::Range;

use heapless::Vec;

use super::stream::Stream;
use super::{ESCAPE, Full, Span, TEXT_BYTES_MAX, VARIABLE, VARIABLES_MAX};

/// Digits of a decimal number that fits 64 bits, whatever it is.
pub(super) const DECIMAL_DIGITS_MAX: usize = 19;
/// The same of a hexadecimal one.
pub(super) const HEX_DIGITS_MAX: usize = 16;
/// A shorter mixture of digits and a to f is rather a number and a unit.
const HEX_DIGITS_MIN: usize = 4;
/// More runs of digits in a word are rather a random text than numbers.
const RUNS_MAX: usize = 2;

const DIGIT: u8 = 1;
const LOWER: u8 = 2;
const UPPER: u8 = 4;
const LETTER: u8 = 8;

/// What each byte is: one of the four, or 0.
const CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::indexing_slicing, reason = "below 256")]
        let to = &mut class[byte];
        *to = match byte as u8 {
            b'0'..=b'9' => DIGIT,
            b'a'..=b'f' => LOWER,
            b'A'..=b'F' => UPPER,
            b'g'..=b'z' | b'G'..=b'Z' | 0x80.. => LETTER,
            _ => 0,
        };
        byte += 1;
    }
    class
};

fn class(byte: u8) -> u8 {
    #[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
    CLASS[usize::from(byte)]
}

fn is_digit(byte: &u8) -> bool {
    byte.is_ascii_digit()
}

/// Where the first digit is; eight bytes at a time.
fn first_digit(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let (words, rest) = bytes.as_chunks::<8>();
    for (number, word) in words.iter().enumerate() {
        // A digit is now below 10, and plus 118 below 128; no other byte is.
        let word = u64::from_le_bytes(*word) ^ (ONES * u64::from(b'0'));
        let others = ((word & (ONES * 0x7f)) + ONES * 118) | word;
        let digits = !others & (ONES * 0x80);
        if digits != 0 {
            return Some(number * 8 + digits.trailing_zeros() as usize / 8);
        }
    }
    let last = rest.iter().position(is_digit)?;
    Some(bytes.len() - rest.len() + last)
}

/// The line is to be a literal: it has more than [`VARIABLES_MAX`] variables, or there is no room
/// for its template.
pub(super) struct NoTemplate;

impl From<Full> for NoTemplate {
    fn from(_: Full) -> Self {
        Self
    }
}

/// One line while it is scanned. Places are counted from where it begins.
pub(super) struct Scan<'a> {
    line: &'a [u8],
    /// Where it begins in the text that it is a part of.
    start: usize,
    /// Whether a byte of it may have to be escaped.
    has_special: bool,
    template: &'a mut Stream<TEXT_BYTES_MAX>,
    variables: &'a mut Vec<Span, VARIABLES_MAX>,
}

impl<'a> Scan<'a> {
    /// Appends the line's template and a newline to `template`, and makes `variables` its
    /// variables, each as a part of `raw`. `has_special`: `raw` has bytes that are escaped.
    pub(super) fn scan(
        raw: &'a [u8],
        has_special: bool,
        line: Span,
        template: &'a mut Stream<TEXT_BYTES_MAX>,
        variables: &'a mut Vec<Span, VARIABLES_MAX>,
    ) -> Result<(), NoTemplate> {
        variables.clear();
        let Range { start, .. } = line.range();
        let line = line.of(raw);
        let has_special = has_special && memchr::memchr2(VARIABLE, ESCAPE, line).is_some();
        let mut scan = Self { line, start, has_special, template, variables };
        let mut at = 0;
        let mut rest = line;
        while let Some(digit) = first_digit(rest) {
            let before = rest.get(..digit).unwrap_or_default();
            let letters = before.iter().rev().take_while(|&&byte| class(byte) != 0).count();
            let (mut classes, mut len) = (0, 0);
            for &byte in rest.get(digit - letters..).unwrap_or_default() {
                let class = class(byte);
                if class == 0 {
                    break;
                }
                classes |= class;
                len += 1;
            }
            scan.copy(rest, digit - letters)?;
            let word = at + digit - letters;
            at = word + len;
            scan.word(word, at, classes)?;
            rest = line.get(at..).unwrap_or_default();
        }
        scan.copy(rest, rest.len())?;
        Ok(scan.template.push(b'\n')?)
    }

    fn bytes(&self, start: usize, end: usize) -> &'a [u8] {
        self.line.get(start..end).unwrap_or_default()
    }

    /// Bytes that stay: the first `count` of `bytes`.
    fn copy(&mut self, bytes: &[u8], count: usize) -> Result<(), Full> {
        if !self.has_special {
            return self.template.append(bytes, count);
        }
        for &byte in bytes.iter().take(count) {
            if matches!(byte, VARIABLE | ESCAPE) {
                self.template.push(ESCAPE)?;
            }
            self.template.push(byte)?;
        }
        Ok(())
    }

    fn variable(&mut self, start: usize, end: usize) -> Result<(), NoTemplate> {
        self.template.push(VARIABLE)?;
        self.variables.push(Span::new(self.start + start, self.start + end)).map_err(|_| NoTemplate)
    }

    /// A word with a digit, whose bytes have these classes.
    fn word(&mut self, start: usize, end: usize, classes: u8) -> Result<(), NoTemplate> {
        if classes == DIGIT && end - start <= DECIMAL_DIGITS_MAX {
            return self.variable(start, end);
        }
        self.mixed(start, end, classes)
    }

    /// A word that is not just a number.
    fn mixed(&mut self, start: usize, end: usize, classes: u8) -> Result<(), NoTemplate> {
        let word = self.bytes(start, end);
        let is_hex = |classes: u8| classes & LETTER == 0 && classes & (LOWER | UPPER) != LOWER | UPPER;
        if is_hex(classes) && word.len() >= HEX_DIGITS_MIN {
            return self.pieces(start, end);
        }
        if let [b'0', b'x' | b'X', digits @ ..] = word
            && (1..=HEX_DIGITS_MAX).contains(&digits.len())
            && is_hex(digits.iter().fold(0, |all, &byte| all | class(byte)))
        {
            self.copy(word, 2)?;
            return self.variable(start + 2, end);
        }
        self.runs(start, end)
    }

    fn pieces(&mut self, start: usize, end: usize) -> Result<(), NoTemplate> {
        (start..end)
            .step_by(HEX_DIGITS_MAX)
            .try_for_each(|at| self.variable(at, end.min(at + HEX_DIGITS_MAX)))
    }

    /// A word of letters and few runs of digits; the whole word is a variable when there are more.
    fn runs(&mut self, start: usize, end: usize) -> Result<(), NoTemplate> {
        let (template, variables) = (self.template.len(), self.variables.len());
        let mut at = start;
        for run in 0..=RUNS_MAX {
            let rest = self.bytes(at, end);
            let Some(letters) = rest.iter().position(is_digit) else {
                return Ok(self.copy(rest, rest.len())?);
            };
            let digits = rest.iter().skip(letters).take_while(|byte| is_digit(byte)).count();
            if run == RUNS_MAX || digits > DECIMAL_DIGITS_MAX {
                break;
            }
            self.copy(rest, letters)?;
            at += letters + digits;
            self.variable(at - digits, at)?;
        }
        self.template.truncate(template);
        self.variables.truncate(variables);
        self.variable(start, end)
    }
}
