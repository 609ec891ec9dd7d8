//! `status`: what a running agent says, in words or as JSON.

use std::fmt::Write;

use driftlog_proto::ids::Lane;

use super::{FAILED, fail, say};
use crate::config::Config;
use crate::status::{CoreStatus, LaneStatus, LinkStatus, Status, ask};

pub(super) fn show(config: &Config, json: bool) -> u8 {
    match ask(&config.state_dir) {
        Ok(status) if json => match serde_json::to_string(&status) {
            Ok(line) => say(&(line + "\n")),
            Err(error) => fail(FAILED, format_args!("error: {error}")),
        },
        Ok(status) => say(&words(config, &status)),
        Err(error) => {
            let _ = fail(
                FAILED,
                format_args!(
                    "error: no agent answers in {}: {error}\nhint: is it running, and may you read that directory? \
                     What stands in its spool:",
                    config.state_dir.display()
                ),
            );
            // Exit code 1 in any case: there is no status of an agent that does not run.
            super::spool::shown_in(&config.state_dir, json).max(FAILED)
        }
    }
}

/// The status as a person reads it.
fn words(config: &Config, status: &Status) -> String {
    let core = &status.core;
    let mut text = format!(
        "{}: driftlog-agent {}, process {}, for {}\n",
        core.device_id,
        core.agent,
        status.process,
        duration(core.uptime_ms)
    );
    let mut line = |name: &str, value: &str| {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{name:<6} {value}");
    };
    line("link", &link(&status.link, core));
    line("clock", &core.clock);
    if let Some(reason) = &core.refused {
        line("", &format!("the gateway refuses this device: {reason}"));
    }
    if core.lines_cut > 0 {
        line("", &format!("lines that were too long and were cut: {}", number(core.lines_cut)));
    }
    text.push('\n');
    text.push_str(&lanes(config, &core.lanes));
    if !core.sources.is_empty() {
        text.push_str("\nsources\n");
    }
    for source in &core.sources {
        let (path, read, length) = (&source.path, bytes(source.offset), bytes(source.length));
        let _ = write!(text, "  {path}  read {read} of {length}");
        if source.packed_bytes > 0 {
            let _ = write!(text, ", packed to {}", ratio(source.body_bytes, source.packed_bytes));
        }
        text.push('\n');
    }
    text
}

fn link(link: &LinkStatus, core: &CoreStatus) -> String {
    let since = duration(core.uptime_ms.saturating_sub(link.since_ms));
    if link.is_up {
        let answered = if core.answered { "" } else { ", the gateway has not answered yet" };
        return format!("connected to {} for {since}{answered}", link.broker);
    }
    match &link.last_error {
        Some(error) => format!("not connected for {since}: {error}"),
        None => format!("connecting to {}", link.broker),
    }
}

fn lanes(config: &Config, lanes: &[LaneStatus]) -> String {
    let head = ["lane", "sealed", "on the air", "acknowledged", "waiting", "on flash", "oldest", "dropped"];
    let mut rows = vec![head.map(str::to_owned)];
    for lane in lanes {
        let most = Lane::from_name(&lane.lane).map_or(0, |name| config.spool.lane(name).bytes_max);
        rows.push([
            lane.lane.clone(),
            number(lane.sealed),
            bytes(lane.in_flight_bytes),
            number(lane.acknowledged),
            number(lane.waiting),
            format!("{} of {}", bytes(lane.spool_bytes), bytes(most)),
            lane.oldest_age_ms.map_or_else(|| "-".to_owned(), duration),
            dropped(lane),
        ]);
    }
    let mut text = table(&rows);
    for lane in lanes {
        if lane.packed_bytes > 0 {
            let _ = writeln!(text, "{}: {}", lane.lane, packed(lane));
        }
        if lane.paused {
            let _ = writeln!(text, "{}: the sources wait for room", lane.lane);
        }
        for trouble in lane.last_error.iter().chain(&lane.unheard) {
            let _ = writeln!(text, "{}: {trouble}", lane.lane);
        }
    }
    text
}

/// How the blocks since the start were packed.
fn packed(lane: &LaneStatus) -> String {
    let blocks = lane.blocks.iter().filter(|(_, count)| **count > 0);
    let blocks: Vec<_> = blocks.map(|(codec, count)| format!("{} {codec}", number(*count))).collect();
    let from = bytes(lane.body_bytes);
    format!(
        "packed to {} ({from} of lines to {}; blocks: {})",
        ratio(lane.body_bytes, lane.packed_bytes),
        bytes(lane.packed_bytes),
        blocks.join(", ")
    )
}

fn ratio(from: u64, to: u64) -> String {
    format!("1/{:.1}", from as f64 / to as f64)
}

fn dropped(lane: &LaneStatus) -> String {
    if lane.dropped.is_empty() {
        return "0".to_owned();
    }
    let causes: Vec<_> =
        lane.dropped.iter().map(|(cause, count)| format!("{} {cause}", number(*count))).collect();
    causes.join(", ")
}

/// Columns as wide as their widest cell, the first to the left, the others to the right.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    let mut text = String::new();
    for row in rows {
        for (at, (cell, width)) in row.iter().zip(widths).enumerate() {
            let _ = if at == 0 { write!(text, "{cell:<width$}") } else { write!(text, "  {cell:>width$}") };
        }
        text.push('\n');
    }
    text
}

/// 1234567 as 1,234,567.
fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes with three digits and a unit of 1,024.
pub(super) fn bytes(bytes: u64) -> String {
    let units = [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let Some((unit, size)) = units.into_iter().find(|(_, size)| bytes >= *size) else {
        return format!("{bytes} B");
    };
    let tenths = bytes.saturating_mul(10) / size;
    if tenths < 1_000 && !tenths.is_multiple_of(10) {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    } else {
        format!("{} {unit}", number(tenths / 10))
    }
}

/// Milliseconds in the two largest units that fit.
fn duration(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::SourceStatus;

    fn status() -> Status {
        let bulk = LaneStatus {
            lane: "bulk".to_owned(),
            sealed: 1_234_567,
            acknowledged: 1_204_000,
            waiting: 30_567,
            in_flight_bytes: 131_072,
            spool_bytes: 12_897_484,
            oldest_age_ms: Some(3_723_000),
            dropped: [("overflow".to_owned(), 1_000)].into(),
            last_error: Some("cannot write 00000012: no space left on device".to_owned()),
            paused: true,
            ..LaneStatus::default()
        };
        let urgent = LaneStatus { lane: "urgent".to_owned(), ..LaneStatus::default() };
        let source = SourceStatus {
            path: "/var/log/syslog".to_owned(),
            offset: 1_536,
            length: 2_048,
            body_bytes: 1_500,
            packed_bytes: 200,
        };
        let link = LinkStatus {
            broker: "10.0.0.1:1883".to_owned(),
            is_up: false,
            since_ms: 273_538_000,
            connections: 2,
            last_error: Some("10.0.0.1:1883: connection refused".to_owned()),
        };
        let core = CoreStatus {
            device_id: "pump-7".to_owned(),
            agent: "0.1.0".to_owned(),
            uptime_ms: 273_600_000,
            clock: "unsynchronised".to_owned(),
            lines_cut: 1,
            lanes: vec![bulk, urgent],
            sources: vec![source],
            ..CoreStatus::default()
        };
        Status { process: 123, boot: String::new(), link, core }
    }

    #[test]
    fn the_words_say_what_is_spooled_on_the_air_acknowledged_and_dropped_and_why() {
        let text =
            "device_id = \"pump-7\"\n[broker]\nurl = \"mqtt://10.0.0.1\"\n[[source]]\ntype = \"stdin\"\n";
        let config = Config::parse("agent.toml".as_ref(), text, None).unwrap();
        let expected = "\
pump-7: driftlog-agent 0.1.0, process 123, for 3 d 4 h
link   not connected for 1 min 2 s: 10.0.0.1:1883: connection refused
clock  unsynchronised
       lines that were too long and were cut: 1

lane       sealed  on the air  acknowledged  waiting             on flash     oldest         dropped
bulk    1,234,567     128 KiB     1,204,000   30,567  12.2 MiB of 256 MiB  1 h 2 min  1,000 overflow
urgent          0         0 B             0        0        0 B of 16 MiB          -               0
bulk: the sources wait for room
bulk: cannot write 00000012: no space left on device

sources
  /var/log/syslog  read 1.5 KiB of 2 KiB, packed to 1/7.5
";
        assert_eq!(words(&config, &status()), expected);
    }

    #[test]
    fn a_connected_link_says_to_whom_for_how_long_and_whether_the_gateway_is_there() {
        let mut status = status();
        status.link.is_up = true;
        status.core.uptime_ms = status.link.since_ms + 59_999;
        let broker_only = "connected to 10.0.0.1:1883 for 59 s, the gateway has not answered yet";
        assert_eq!(link(&status.link, &status.core), broker_only);
        status.core.answered = true;
        assert_eq!(link(&status.link, &status.core), "connected to 10.0.0.1:1883 for 59 s");
    }
}
