//! How the demo ends: everything is counted, twice, and said.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::elsewhere::Elsewhere;
use super::world::World;
use crate::compare::Comparison;
use crate::count::Count;
use crate::place::shown;
use crate::shore::Audit;
use crate::table::{bytes, grouped, span};
use crate::usage::Usage;

/// What was found.
pub(super) struct Ending {
    audit: Audit,
    comparison: Comparison,
    elsewhere: Option<Elsewhere>,
    agents: Usage,
    wire_bytes: u64,
    corrupted: u32,
    rotations: u64,
    spools: PathBuf,
}

impl Ending {
    /// Stops everything, looks into the spools, and counts.
    pub(super) fn count(folder: &Path, world: &mut World) -> io::Result<Self> {
        let mut agents = Usage::default();
        for unit in &world.units {
            agents = agents.and(unit.device.usage());
        }
        world.stop()?;
        let spools = folder.join("spools");
        let units: Vec<_> = world.units.iter().map(|unit| (&unit.device, &unit.journal)).collect();
        let Count { audit, comparison } = Count::take(&world.shore, &units, &spools)?;
        let elsewhere = Elsewhere::count(folder, world)?;
        let lines = || world.units.iter().map(|unit| unit.device.line());
        Ok(Self {
            audit,
            comparison,
            elsewhere,
            agents,
            wire_bytes: lines().map(|line| line.bytes_up() + line.bytes_down()).sum(),
            corrupted: lines().map(|line| line.corrupted()).sum(),
            rotations: world.units.iter().map(|unit| unit.rotations).sum(),
            spools,
        })
    }

    /// Whether every line arrived once and in order, and all that is stated about times is true.
    pub(super) fn is_good(&self) -> bool {
        let is_good_elsewhere = self.elsewhere.as_ref().is_none_or(Elsewhere::is_good);
        self.audit.is_kept && self.comparison.is_exact() && self.comparison.is_in_time() && is_good_elsewhere
    }

    /// Says it all.
    pub(super) fn write(
        &self,
        world: &mut World,
        drained: Option<Duration>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        match drained {
            Some(time) => {
                writeln!(out, "\nEverything is on shore {:.1} s after the last line.", time.as_secs_f64())?
            }
            None => writeln!(out, "\nNot everything is on shore; what follows says what is missing.")?,
        }
        writeln!(out, "\n1. The gateway's audit. It reads the archive and trusts no counter.\n")?;
        out.write_all(self.audit.report.as_bytes())?;
        writeln!(
            out,
            "\n2. The archive beside what was written, byte for byte. This shares no code with the gateway.\n"
        )?;
        self.comparison.write_table(out)?;
        writeln!(out)?;
        let mut number = 2;
        let mut next = || {
            number += 1;
            number
        };
        if let Some(elsewhere) = &self.elsewhere {
            write!(out, "{}. ", next())?;
            elsewhere.write(&self.comparison, out)?;
            writeln!(out)?;
        }
        self.write_times(next(), out)?;
        self.write_bytes(next(), out)?;
        self.write_verdict(world, out)
    }

    fn write_times(&self, number: u32, out: &mut dyn Write) -> io::Result<()> {
        let time = self.comparison.total().time;
        writeln!(out, "{number}. Times. No line can happen before it is written or after it has arrived.\n")?;
        if time.early + time.late == 0 {
            writeln!(
                out,
                "All {} corrected times lie between the two, within the bound that each states ({} at most),\n\
                 whatever the device's own clock said.",
                grouped(time.checked),
                span(time.bound_ns_max)
            )?;
        } else {
            let (early, late) = (grouped(time.early), grouped(time.late));
            writeln!(out, "{early} of {} times are too early, {late} too late.", grouped(time.checked))?;
        }
        if time.unbounded > 0 {
            writeln!(out, "{} rest on the device's own clock.", grouped(time.unbounded))?;
        }
        writeln!(out)
    }

    fn write_bytes(&self, number: u32, out: &mut dyn Write) -> io::Result<()> {
        let raw = self.comparison.total().bytes_in;
        let ratio = |part: u64| part as f64 / raw.max(1) as f64;
        writeln!(out, "{number}. Bytes.\n")?;
        writeln!(out, "log lines as written          {:>9}", bytes(raw))?;
        if self.agents.flash_bytes > 0 {
            let flash = self.agents.flash_bytes;
            writeln!(
                out,
                "written to flash by agents    {:>9}   {:.2} for each byte",
                bytes(flash),
                ratio(flash)
            )?;
        } else {
            writeln!(out, "written to flash by agents    not counted by this file system (in memory?)")?;
        }
        let wire = self.wire_bytes;
        writeln!(out, "on the wire, both ways        {:>9}   {:.2} for each byte", bytes(wire), ratio(wire))?;
        writeln!(out, "(a block each second for a few lines; larger blocks do better: see `cargo figures`)\n")
    }

    fn write_verdict(&self, world: &mut World, out: &mut dyn Write) -> io::Result<()> {
        let total = self.comparison.total();
        let (in_, out_) = (grouped(total.lines_in), grouped(total.lines_out));
        let (lost, doubled, disordered) =
            (grouped(total.lost), grouped(total.doubled), grouped(total.disordered));
        let word = if self.is_good() { "KEPT" } else { "BROKEN" };
        writeln!(
            out,
            "The promise is {word}: {in_} lines in, {out_} lines out; {lost} lost, {doubled} doubled, \
             {disordered} out of order,"
        )?;
        let (agents, gateways) = (times(world.done.agent_kills), times(world.done.gateway_kills));
        writeln!(
            out,
            "through kill -9 of an agent ({agents}) and of the gateway ({gateways}), {:.0} s without network, a clock at\n\
             1970 that jumped, a flood, {} corrupted message{}, and {} files rotated away.",
            world.done.cut_time.as_secs_f64(),
            self.corrupted,
            if self.corrupted == 1 { "" } else { "s" },
            self.rotations
        )?;
        if !self.is_good() {
            writeln!(out, "\nhint: what agents and gateway said stands in their folders, in *.log")?;
        }
        self.write_next(world, out)
    }

    fn write_next(&self, world: &mut World, out: &mut dyn Write) -> io::Result<()> {
        let archive = shown(&world.shore.archive());
        let driftlog = std::env::current_exe().map_or_else(|_| "driftlog".to_owned(), |path| shown(&path));
        let device = world.units.get(1).or(world.units.first()).map_or("pump-1", |unit| unit.device.name());
        let config = shown(&world.shore.config());
        writeln!(out, "\nThe archive lies in {archive}, what the spools say in {}.", shown(&self.spools))?;
        writeln!(out, "Three commands to try next:\n")?;
        writeln!(out, "  {driftlog} gateway cat {device} --config {config} | tail")?;
        writeln!(out, "  {driftlog} gateway audit --archive {archive} --json")?;
        writeln!(out, "  cargo demo --input /var/log --devices 8")?;
        let by_hand = world.servers.by_hand();
        if !by_hand.is_empty() {
            writeln!(out, "\nThe servers have ended. Each starts again with what it holds, until Ctrl-C:\n")?;
            by_hand.iter().try_for_each(|command| writeln!(out, "  {command}"))?;
            writeln!(out, "\nand then `{driftlog} gateway audit --sink NAME --config {config}`.")?;
        }
        Ok(())
    }
}

fn times(count: u32) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        count => format!("{count} times"),
    }
}
