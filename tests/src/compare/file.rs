//! Lays the files that arrived beside those that were written.
//!
//! Names do not tell which is which, since files are rotated; their bytes do.

use std::fs;
use std::io;

use super::DeviceComparison;
use super::arrived::Arrived;
use crate::table::span;
use crate::writer::{Journal, Written};

/// Compares all files of a device.
pub(super) fn compare(
    journal: &Journal,
    mut arrived: Vec<Arrived>,
    device: &mut DeviceComparison,
) -> io::Result<()> {
    arrived.sort_by(|a, b| (&a.path, a.bytes.len()).cmp(&(&b.path, b.bytes.len())));
    let texts = journal.files.iter().map(|file| fs::read(&file.copy)).collect::<io::Result<Vec<_>>>()?;
    for file in &arrived {
        let has_open_end = file.bytes.last().is_some_and(|byte| *byte != b'\n') && file.cuts.is_empty();
        device.lines_out += file.lines + u64::from(has_open_end);
        device.doubled += file.doubled;
        device.disordered += file.disordered;
        if file.doubled + file.disordered > 0 {
            let Arrived { path, doubled, disordered, .. } = file;
            device.find(|| format!("{path}: {doubled} records twice, {disordered} out of order"));
        }
    }
    let mut parts: Vec<Vec<Arrived>> = texts.iter().map(|_| Vec::new()).collect();
    let leftover = match_whole(&texts, arrived, &mut parts);
    match_best(&texts, leftover, &mut parts, device);
    for ((written, text), parts) in journal.files.iter().zip(&texts).zip(&parts) {
        match parts.as_slice() {
            [only] if only.is(text) => {}
            _ => lines(&written.name, text, parts, device),
        }
        parts.iter().for_each(|part| times(written, part, device));
    }
    Ok(())
}

/// Gives each text the one file that is that text; returns the files that are none.
fn match_whole(texts: &[Vec<u8>], arrived: Vec<Arrived>, parts: &mut [Vec<Arrived>]) -> Vec<Arrived> {
    let mut leftover = Vec::new();
    for file in arrived {
        let free = texts.iter().zip(parts.iter_mut()).find(|(text, parts)| parts.is_empty() && file.is(text));
        match free {
            Some((_, parts)) => parts.push(file),
            None => leftover.push(file),
        }
    }
    leftover
}

/// Gives each file to the text with which it has most in common; one without a whole match yet
/// is preferred.
fn match_best(
    texts: &[Vec<u8>],
    arrived: Vec<Arrived>,
    parts: &mut [Vec<Arrived>],
    device: &mut DeviceComparison,
) {
    let is_whole: Vec<bool> = parts.iter().map(|parts| !parts.is_empty()).collect();
    for file in arrived {
        let scores = texts.iter().zip(&is_whole).map(|(text, whole)| (file.agreement(text), !whole));
        let best = scores.enumerate().max_by_key(|(_, score)| *score);
        match best {
            Some((at, (agreement, _))) if agreement * 2 >= file.length() => {
                if let Some(parts) = parts.get_mut(at) {
                    parts.push(file);
                }
            }
            _ => {
                device.changed += file.lines.max(1);
                device.find(|| format!("{}: {} lines that nobody wrote", file.path, file.lines));
            }
        }
    }
}

/// Compares line by line where a file is not simply the same.
fn lines(name: &str, text: &[u8], parts: &[Arrived], device: &mut DeviceComparison) {
    let mut times = vec![0u8; text.len()];
    let mut differs = vec![false; text.len()];
    for part in parts {
        for (from, to) in &part.ranges.0 {
            for at in *from as usize..(*to as usize).min(text.len()) {
                if let (Some(times), Some(differs)) = (times.get_mut(at), differs.get_mut(at)) {
                    *times = times.saturating_add(1);
                    *differs |= part.bytes.get(at) != text.get(at);
                }
            }
            // Beyond the end of what was written nothing can be right.
            device.changed += u64::from(*to > text.len() as u64);
        }
        for cut in &part.cuts {
            skip_cut(text, *cut as usize, &mut times);
        }
    }
    let mut at = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let range = at..at + line.len();
        let seen = times.get(range.clone()).unwrap_or_default();
        let differ = differs.get(range.clone()).unwrap_or_default();
        let (is_lost, is_double) = (seen.contains(&0), seen.iter().any(|times| *times > 1));
        let is_changed = differ.contains(&true);
        device.lost += u64::from(is_lost);
        device.doubled += u64::from(is_double);
        device.changed += u64::from(is_changed);
        if is_lost || is_double || is_changed {
            let what = if is_lost {
                "lost"
            } else if is_double {
                "doubled"
            } else {
                "changed"
            };
            let shown = String::from_utf8_lossy(line.get(..60.min(line.len())).unwrap_or_default());
            device.find(|| format!("{name}, offset {at}: {what}: {}", shown.trim_end()));
        }
        at = range.end;
    }
}

/// What a cut left out of a line is not lost: it is stated with the line.
fn skip_cut(text: &[u8], from: usize, times: &mut [u8]) {
    let rest = text.get(from..).unwrap_or_default();
    let length = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |end| end + 1);
    if let Some(left_out) = times.get_mut(from..from + length) {
        left_out.iter_mut().for_each(|times| *times = times.saturating_add(1));
    }
}

/// Checks when the records happened against when the lines were written.
fn times(written: &Written, part: &Arrived, device: &mut DeviceComparison) {
    for moment in &part.moments {
        let at = written.moments.partition_point(|(offset, _)| *offset <= moment.offset);
        let since = at.checked_sub(1).and_then(|at| written.moments.get(at));
        let (Some((_, since)), Some(bound)) = (since, moment.bound) else {
            device.time.unbounded += u64::from(moment.bound.is_none());
            continue;
        };
        let bound_ns = i64::try_from(bound).unwrap_or(i64::MAX);
        let early = since.saturating_sub(moment.time.saturating_add(bound_ns));
        let late = moment.time.saturating_sub(bound_ns).saturating_sub(moment.arrived);
        let time = &mut device.time;
        time.checked += 1;
        time.early += u64::from(early > 0);
        time.late += u64::from(late > 0);
        time.bound_ns_max = time.bound_ns_max.max(bound);
        if early > 0 || late > 0 {
            let (how, by) = if early > 0 { ("early", early) } else { ("late", late) };
            let (by, bound) = (span(by.unsigned_abs()), span(bound));
            let (path, offset) = (&part.path, moment.offset);
            device.find(|| format!("{path}, offset {offset}: {by} too {how}, beyond its bound of {bound}"));
        }
    }
}
