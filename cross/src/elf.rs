//! The symbols of an ELF file, as far as a size report needs them: little-endian, 32 and 64 bits.
//! (System V ABI, chapter 4: file header, section headers, symbol table.)

/// The type of a section that holds symbols.
const SYMBOL_TABLE: u64 = 2;
/// The type of a symbol that is a function.
const FUNCTION: u8 = 2;

/// A function's name as the linker knows it, and its bytes.
pub(crate) type Function<'a> = (&'a str, u64);

/// The functions of a file; none if it is no ELF file or has no symbols. A function that several
/// names stand for is there once.
pub(crate) fn functions(file: &[u8]) -> Vec<Function<'_>> {
    read(file).unwrap_or_default()
}

/// Where the fields lie, by the width of an address.
struct Layout {
    is_wide: bool,
}

struct Section {
    kind: u64,
    offset: usize,
    bytes: usize,
    link: usize,
}

fn read(file: &[u8]) -> Option<Vec<Function<'_>>> {
    let layout = match file.get(..6)? {
        [0x7f, b'E', b'L', b'F', class @ (1 | 2), 1] => Layout { is_wide: *class == 2 },
        _ => return None,
    };
    let sections = layout.sections(file)?;
    let table = sections.iter().find(|section| section.kind == SYMBOL_TABLE)?;
    let names = sections.get(table.link)?;
    let names = file.get(names.offset..names.offset.checked_add(names.bytes)?)?;
    let symbols = file.get(table.offset..table.offset.checked_add(table.bytes)?)?;
    let mut found: Vec<(u64, Function<'_>)> = Vec::new();
    for symbol in symbols.chunks_exact(if layout.is_wide { 24 } else { 16 }) {
        let (name, value, size, info) = layout.symbol(symbol)?;
        if info & 15 == FUNCTION && size > 0 {
            found.push((value, (text(names, name)?, size)));
        }
    }
    found.sort_by_key(|(at, _)| *at);
    found.dedup_by_key(|(at, _)| *at);
    Some(found.into_iter().map(|(_, function)| function).collect())
}

impl Layout {
    fn sections(&self, file: &[u8]) -> Option<Vec<Section>> {
        let (at, header) = if self.is_wide { (number(file, 40, 8)?, 58) } else { (number(file, 32, 4)?, 46) };
        let (entry, count) = (number(file, header, 2)?, number(file, header + 2, 2)?);
        let section = |index: u64| {
            let start = usize::try_from(at + index * entry).ok()?;
            let header = file.get(start..)?;
            let wide = |narrow: usize, wide: usize| match self.is_wide {
                true => number(header, wide, 8),
                false => number(header, narrow, 4),
            };
            let link = number(header, if self.is_wide { 40 } else { 24 }, 4)?;
            Some(Section {
                kind: number(header, 4, 4)?,
                offset: usize::try_from(wide(16, 24)?).ok()?,
                bytes: usize::try_from(wide(20, 32)?).ok()?,
                link: usize::try_from(link).ok()?,
            })
        };
        (0..count).map(section).collect()
    }

    /// A symbol's name, value, size and info.
    fn symbol(&self, symbol: &[u8]) -> Option<(usize, u64, u64, u8)> {
        let name = usize::try_from(number(symbol, 0, 4)?).ok()?;
        match self.is_wide {
            true => Some((name, number(symbol, 8, 8)?, number(symbol, 16, 8)?, *symbol.get(4)?)),
            false => Some((name, number(symbol, 4, 4)?, number(symbol, 8, 4)?, *symbol.get(12)?)),
        }
    }
}

/// The little-endian number of so many bytes at an offset.
fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(width)?)?;
    Some(field.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// The text that begins here and ends with a NUL.
fn text(names: &[u8], at: usize) -> Option<&str> {
    let rest = names.get(at..)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    std::str::from_utf8(rest.get(..end)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_of_this_very_test_are_found() {
        let file = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let found = functions(&file);
        assert!(found.len() > 1_000, "{}", found.len());
        // Which of them stand by themselves is the compiler's affair.
        assert!(found.iter().any(|(name, _)| name.contains("5cross")));
    }

    #[test]
    fn what_is_no_elf_file_or_is_cut_anywhere_has_no_functions_and_does_no_harm() {
        assert!(functions(b"#!/bin/sh\n").is_empty());
        let file = std::fs::read("/proc/self/exe").unwrap();
        let head = &file[..4096];
        (0..head.len()).for_each(|end| assert!(functions(&head[..end]).is_empty()));
    }
}
