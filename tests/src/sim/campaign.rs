//! Many worlds, over all processors, counted.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use super::options::Options;
use super::oracle::Sentence;
use super::plan::Plan;
use super::plan::fault::Fault;
use super::play::{Failure, Played, play};
use super::record::Record;
use super::shrink::shrink;
use crate::clock;

/// Seeds in a line of the output, and in a line of the record.
const CHUNK: u64 = 1_000;
/// Of so many worlds one is played twice, and must leave the same trace.
const TWICE_EVERY: u64 = 50;
/// Failures that are told at length.
const TOLD_MAX: usize = 4;

/// What many worlds came to.
#[derive(Clone, Debug, Default)]
pub(super) struct Total {
    pub(super) worlds: u64,
    pub(super) failed: u64,
    pub(super) steps: u64,
    pub(super) device_seconds: u64,
    pub(super) lines: u64,
    pub(super) lost: u64,
    pub(super) notices: u64,
    pub(super) asked: u64,
    pub(super) gaps: u64,
    pub(super) struck: BTreeMap<Fault, u64>,
    pub(super) kinds: BTreeMap<String, u64>,
}

impl Total {
    fn add(&mut self, played: &Played) {
        self.worlds += 1;
        self.steps += played.steps;
        self.device_seconds += played.device_seconds;
        self.lines += played.tallied.lines;
        self.lost += played.tallied.lost;
        self.notices += played.notices;
        self.asked += played.asked;
        self.gaps += played.gaps;
        for fault in &played.struck {
            *self.struck.entry(*fault).or_default() += 1;
        }
        if let Some(failure) = &played.failure {
            self.failed += 1;
            *self.kinds.entry(failure.kind().to_owned()).or_default() += 1;
        }
    }

    fn join(&mut self, other: &Self) {
        self.worlds += other.worlds;
        self.failed += other.failed;
        self.steps += other.steps;
        self.device_seconds += other.device_seconds;
        self.lines += other.lines;
        self.lost += other.lost;
        self.notices += other.notices;
        self.asked += other.asked;
        self.gaps += other.gaps;
        for (fault, count) in &other.struck {
            *self.struck.entry(*fault).or_default() += count;
        }
        for (kind, count) in &other.kinds {
            *self.kinds.entry(kind.clone()).or_default() += count;
        }
    }
}

/// Runs what the options ask for; whether every world kept the promise.
pub(super) fn run(options: &Options, first: &[u64], out: &mut dyn Write) -> io::Result<bool> {
    let mut record = options.count.as_deref().map(Record::open).transpose()?;
    let started = clock::now();
    let mut total = Total::default();
    let mut told = Vec::new();
    if options.only.is_none() && options.has_known && !first.is_empty() {
        let part = chunk(first, options, &mut told, out)?;
        line(out, &format!("{} seeds of tests/seeds.txt", first.len()), &part, started.elapsed())?;
        total.join(&part);
    }
    let mut from = options.seeds.start;
    loop {
        let is_over = match options.time {
            Some(time) => started.elapsed() >= time,
            None => from >= options.seeds.end,
        };
        if is_over {
            break;
        }
        let end = if options.time.is_some() { u64::MAX } else { options.seeds.end };
        let range = from..(from / CHUNK * CHUNK + CHUNK).min(end);
        from = range.end;
        if record.as_ref().is_some_and(|record| record.has(&range)) {
            continue;
        }
        let seeds: Vec<u64> = range.clone().collect();
        let part = chunk(&seeds, options, &mut told, out)?;
        line(out, &format!("seeds {}..{}", range.start, range.end), &part, started.elapsed())?;
        if let Some(record) = &mut record {
            record.add(&range, &part)?;
        }
        total.join(&part);
    }
    end(out, &total, started.elapsed(), record.as_ref())?;
    Ok(total.failed == 0)
}

/// Plays these seeds on all threads.
fn chunk(seeds: &[u64], options: &Options, told: &mut Vec<String>, out: &mut dyn Write) -> io::Result<Total> {
    let next = AtomicU64::new(0);
    let (results, played) = channel();
    let mut total = Total::default();
    let mut failed: Vec<(u64, Failure)> = Vec::new();
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            let results = results.clone();
            scope.spawn(|| work(seeds, options, &next, results));
        }
        drop(results);
        for (seed, world) in played {
            total.add(&world);
            failed.extend(world.failure.map(|failure| (seed, failure)));
        }
    });
    failed.sort_by_key(|(seed, _)| *seed);
    for (seed, failure) in failed {
        tell(seed, &failure, options, told, out)?;
    }
    Ok(total)
}

fn work(seeds: &[u64], options: &Options, next: &AtomicU64, results: Sender<(u64, Played)>) {
    while let Some(&seed) =
        usize::try_from(next.fetch_add(1, Ordering::Relaxed)).ok().and_then(|at| seeds.get(at))
    {
        let plan = Plan::drawn(seed, options.only.as_deref());
        let mut played = play(&plan);
        if seed % TWICE_EVERY == 0 && played.failure.is_none() {
            let again = play(&plan);
            if (again.trace, again.steps) != (played.trace, played.steps) {
                let text = format!(
                    "{}: the second time it took {} steps",
                    Sentence::Deterministic.text(),
                    again.steps
                );
                played.failure =
                    Some(Failure { sentence: Some(Sentence::Deterministic), text, at: String::new() });
            }
        }
        if results.send((seed, played)).is_err() {
            return;
        }
    }
}

/// A failure in a few lines; the first of a kind with its shortest trace.
fn tell(
    seed: u64,
    failure: &Failure,
    options: &Options,
    told: &mut Vec<String>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let text: String = failure.text.lines().next().unwrap_or_default().chars().take(400).collect();
    writeln!(out, "seed {seed} FAILED: {text}")?;
    writeln!(out, "  noticed at {}; replay: cargo sim --seed {seed} --trace{}", failure.at, only(options))?;
    let kind = failure.kind().to_owned();
    if !options.shrinks || told.len() >= TOLD_MAX || told.contains(&kind) {
        return Ok(());
    }
    told.push(kind);
    let plan = Plan::drawn(seed, options.only.as_deref());
    let (short, played) = shrink(&plan, failure);
    writeln!(out, "  the shortest that fails so has {} of {} acts:", short.acts.len(), plan.acts.len())?;
    for event in &played.events {
        writeln!(out, "    {event}")?;
    }
    if let Some(failure) = &played.failure {
        let text: String = failure.text.lines().take(12).collect::<Vec<_>>().join("\n    ");
        writeln!(out, "    then: {text}")?;
    }
    Ok(())
}

fn only(options: &Options) -> String {
    let names = |only: &Vec<Fault>| only.iter().map(|fault| fault.name()).collect::<Vec<_>>().join(",");
    options.only.as_ref().map(|only| format!(" --only {}", names(only))).unwrap_or_default()
}

fn line(out: &mut dyn Write, what: &str, part: &Total, passed: Duration) -> io::Result<()> {
    writeln!(
        out,
        "{what}: {} worlds, {} failed; {} lines, {} lost and declared, {} notices, {} gaps, {} asked for; {} steps; {:.0} s",
        part.worlds,
        part.failed,
        part.lines,
        part.lost,
        part.notices,
        part.gaps,
        part.asked,
        part.steps,
        passed.as_secs_f64()
    )?;
    out.flush()
}

fn end(out: &mut dyn Write, total: &Total, passed: Duration, record: Option<&Record>) -> io::Result<()> {
    let seconds = passed.as_secs_f64().max(0.001);
    let years = total.device_seconds as f64 / (365.25 * 86_400.0);
    writeln!(out)?;
    writeln!(out, "faults, and in how many worlds each struck:")?;
    let rows: Vec<String> = Fault::ALL
        .iter()
        .map(|fault| format!("{:20} {:>7}", fault.name(), total.struck.get(fault).copied().unwrap_or(0)))
        .collect();
    for row in rows.chunks(3) {
        writeln!(out, "  {}", row.join("    "))?;
    }
    writeln!(out)?;
    for (kind, count) in &total.kinds {
        writeln!(out, "FAILED in {count} worlds: {kind}")?;
    }
    writeln!(
        out,
        "{} worlds, {} failed; {} lines came through, {} lost and declared; {} steps, {:.0} a second; \
         {years:.2} years of devices, {:.0} seconds of them a second; {seconds:.0} s",
        total.worlds,
        total.failed,
        total.lines,
        total.lost,
        total.steps,
        total.steps as f64 / seconds,
        total.device_seconds as f64 / seconds,
    )?;
    if let Some(record) = record {
        writeln!(out, "counted in {}:\n{}", record.path().display(), record.sums())?;
    }
    Ok(())
}

/// The seeds of one range, for a record.
pub(super) fn name(range: &Range<u64>) -> String {
    format!("{}..{}", range.start, range.end)
}
