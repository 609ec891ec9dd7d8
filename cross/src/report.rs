//! The largest crates and functions of a program.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::elf;

/// How many of each are shown.
const SHOWN: usize = 10;
/// Longer names are cut.
const NAME_CHARS_MAX: usize = 100;

/// Writes both lists.
pub(crate) fn write(program: &[u8], out: &mut dyn Write) -> io::Result<()> {
    let functions = elf::functions(program);
    let mut crates: BTreeMap<String, u64> = BTreeMap::new();
    let mut names: Vec<(String, u64)> = Vec::new();
    for (symbol, bytes) in functions {
        let name = format!("{:#}", rustc_demangle::demangle(symbol));
        *crates.entry(crate_of(symbol, &name)).or_default() += bytes;
        names.push((name, bytes));
    }
    let total: u64 = crates.values().sum();
    writeln!(out, "\n  {total:>9} bytes of functions; the largest crates")?;
    largest(crates.into_iter().collect(), out)?;
    writeln!(out, "\n  and functions")?;
    largest(names, out)?;
    writeln!(out)
}

fn largest(mut list: Vec<(String, u64)>, out: &mut dyn Write) -> io::Result<()> {
    list.sort_by(|(a, a_bytes), (b, b_bytes)| b_bytes.cmp(a_bytes).then(a.cmp(b)));
    for (name, bytes) in list.iter().take(SHOWN) {
        let name: String = name.chars().take(NAME_CHARS_MAX).collect();
        writeln!(out, "  {bytes:>9} {name}")?;
    }
    Ok(())
}

/// The crate that a function was written in, as far as its name says; C is told by its own habits.
fn crate_of(symbol: &str, name: &str) -> String {
    if !symbol.starts_with("_ZN") && !symbol.starts_with("_R") {
        let prefixes = [
            ("ZSTD_", "zstd (C)"),
            ("HUF_", "zstd (C)"),
            ("FSE_", "zstd (C)"),
            ("HIST_", "zstd (C)"),
            ("ring_core", "ring (C and assembler)"),
        ];
        let owner = prefixes.iter().find(|(prefix, _)| symbol.starts_with(prefix));
        return owner.map_or("C library and others", |(_, owner)| owner).to_owned();
    }
    // `<a::B as c::D>::e` was written beside B, unless B is built in: then beside D.
    let part = |text: &str| {
        let text = text.trim_start_matches(['<', '&', '[', '*', '(']);
        let text = ["mut ", "const ", "dyn "].iter().fold(text, |text, word| text.trim_start_matches(word));
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        text.get(end..)
            .filter(|rest| rest.starts_with("::"))
            .and(text.get(..end))
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
    };
    part(name).or_else(|| part(name.split(" as ").nth(1)?)).unwrap_or_else(|| "others".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_belongs_to_the_crate_that_its_name_begins_with() {
        let of = |name: &str| crate_of("_R", name);
        assert_eq!(of("tokio::runtime::park"), "tokio");
        assert_eq!(of("<driftlog_agent::spool::Spool>::append"), "driftlog_agent");
        assert_eq!(of("<&mut rustls::Conn as core::fmt::Debug>::fmt"), "rustls");
        assert_eq!(of("<u8 as core::fmt::Debug>::fmt"), "core");
        assert_eq!(crate_of("ZSTD_compress", "ZSTD_compress"), "zstd (C)");
        assert_eq!(crate_of("memcpy", "memcpy"), "C library and others");
    }
}
