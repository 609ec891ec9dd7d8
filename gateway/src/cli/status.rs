//! `status`: asks a running gateway and shows what it says.

use std::fmt::{self, Write as _};
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::status::{ClockStatus, DeviceStatus, LaneStatus, SinkStatus, Status};

/// Time for the gateway to answer.
const TIME_MAX: Duration = Duration::from_secs(5);
/// Bytes of an answer: ten thousand devices take a tenth of it.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Why there is nothing to show.
#[derive(Debug)]
pub(super) enum AskError {
    NotReached { address: SocketAddr, error: std::io::Error },
    NotUnderstood { address: SocketAddr, answer: String },
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotReached { address, error } => write!(
                f,
                "no gateway answers on {address}: {error}\nhint: is it running? `--config FILE` tells where its \
                 page is (`web.listen`)"
            ),
            Self::NotUnderstood { address, answer } => write!(
                f,
                "{address} gives no status: {answer:?}\nhint: is that the page of a gateway of this version \
                 (`web.listen`)?"
            ),
        }
    }
}

/// The status of the gateway whose page is at `address`, as JSON or as a table.
pub(super) fn ask(address: SocketAddr, json: bool) -> Result<String, AskError> {
    let body = fetch(address).map_err(|error| AskError::NotReached { address, error })?;
    let (head, body) = body.split_once("\r\n\r\n").unwrap_or((body.as_str(), ""));
    let first = head.lines().next().unwrap_or_default();
    let not_understood = |answer: &str| AskError::NotUnderstood { address, answer: answer.to_owned() };
    if !first.contains(" 200 ") {
        return Err(not_understood(first));
    }
    let status: Status = serde_json::from_str(body).map_err(|error| not_understood(&error.to_string()))?;
    Ok(if json { body.to_owned() } else { table(&status) })
}

fn fetch(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIME_MAX)?;
    stream.set_read_timeout(Some(TIME_MAX))?;
    stream.set_write_timeout(Some(TIME_MAX))?;
    // HTTP/1.0: the answer comes in one piece and ends with the connection.
    stream.write_all(b"GET /status HTTP/1.0\r\nhost: driftlog-gateway\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}

const COLUMNS: [&str; 12] = [
    "DEVICE", "LANE", "LINK", "NEXT", "DURABLE", "HELD", "LAG", "GAPS", "LOST", "DROPPED", "CLOCK", "NOTICES",
];

fn table(status: &Status) -> String {
    let mut out = String::new();
    let broker = &status.broker;
    let kind = if broker.is_embedded { "embedded broker" } else { "broker" };
    let link = match (&broker.last_error, broker.is_connected) {
        (_, true) => "connected".to_owned(),
        (Some(error), false) => format!("not connected ({error})"),
        (None, false) => "connecting".to_owned(),
    };
    let up = duration(status.uptime_ms.saturating_mul(1_000_000));
    // Writing into a string cannot fail.
    let _ = writeln!(out, "gateway {}, up {up}; {kind} {}: {link}", status.version, broker.address);
    for sink in &status.region.sinks {
        let SinkStatus { sink, is_required, records, missed, waiting, refusals, refused } = sink;
        let kind = if *is_required { "required" } else { "best effort" };
        let state = refused.as_ref().map_or_else(|| "up".to_owned(), |why| format!("REFUSES: {why}"));
        let _ = writeln!(
            out,
            "sink {sink}, {kind}: {state}; {records} records, {missed} missed, {waiting} devices wait, {refusals} refusals"
        );
    }
    if status.region.devices.is_empty() {
        out.push_str("no device has been heard of\n");
        return out;
    }
    let mut rows = vec![COLUMNS.map(str::to_owned)];
    for device in &status.region.devices {
        if device.lanes.is_empty() {
            rows.push(row(device, &LaneStatus { lane: "-".to_owned(), ..LaneStatus::default() }));
        }
        rows.extend(device.lanes.iter().map(|lane| row(device, lane)));
    }
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..COLUMNS.len()).map(width).collect();
    for row in &rows {
        let mut line = String::new();
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            // Numbers stand right, words left.
            let _ = match at {
                3..=9 => write!(line, "{cell:>width$}  "),
                _ => write!(line, "{cell:<width$}  "),
            };
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn row(device: &DeviceStatus, lane: &LaneStatus) -> [String; COLUMNS.len()] {
    let link = match (device.is_connected, device.heard_ms_ago) {
        (true, _) => "up".to_owned(),
        (false, Some(ms)) => format!("heard {} ago", duration(ms.saturating_mul(1_000_000))),
        (false, None) => "not heard".to_owned(),
    };
    let mut notices = device.notices.clone();
    notices.extend(device.refused.iter().map(|why| format!("refused: {why}")));
    [
        device.device.clone(),
        lane.lane.clone(),
        link,
        lane.next.to_string(),
        lane.durable.to_string(),
        lane.held.to_string(),
        lane.lag.to_string(),
        lane.gaps.to_string(),
        lane.lost.to_string(),
        lane.dropped.to_string(),
        device.clock.as_ref().map_or_else(|| "unknown".to_owned(), clock),
        if notices.is_empty() { "-".to_owned() } else { notices.join(", ") },
    ]
}

fn clock(clock: &ClockStatus) -> String {
    let sign = if clock.offset_ns < 0 { '-' } else { '+' };
    format!("{sign}{} ±{}", duration(clock.offset_ns.unsigned_abs()), duration(clock.bound_ns))
}

/// A time in the unit that suits it.
fn duration(ns: u64) -> String {
    /// Unit, its nanoseconds, and how many of it there must be.
    const UNITS: [(&str, u64, u64); 5] = [
        ("d", 86_400_000_000_000, 2),
        ("h", 3_600_000_000_000, 2),
        ("min", 60_000_000_000, 2),
        ("s", 1_000_000_000, 1),
        ("ms", 1_000_000, 1),
    ];
    match UNITS.iter().find(|(_, unit_ns, least)| ns >= unit_ns * least) {
        Some((unit, unit_ns, _)) => format!("{:.1}{unit}", ns as f64 / *unit_ns as f64),
        None => format!("{:.0}us", ns as f64 / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{BrokerStatus, RegionStatus};

    #[test]
    fn the_table_shows_each_device_and_lane_in_a_line() {
        let lane = |lane: &str, next| LaneStatus {
            lane: lane.to_owned(),
            next,
            durable: 7,
            lag: 3,
            ..LaneStatus::default()
        };
        let status = Status {
            version: "0.1.0".to_owned(),
            uptime_ms: 90_000,
            broker: BrokerStatus {
                address: "127.0.0.1:1883".to_owned(),
                is_embedded: true,
                is_connected: true,
                last_error: None,
            },
            region: RegionStatus {
                sinks: vec![
                    SinkStatus {
                        sink: "archive".to_owned(),
                        is_required: true,
                        records: 7,
                        ..SinkStatus::default()
                    },
                    SinkStatus {
                        sink: "search".to_owned(),
                        waiting: 2,
                        missed: 5,
                        refusals: 3,
                        refused: Some("search: 429".to_owned()),
                        ..SinkStatus::default()
                    },
                ],
                devices: vec![
                    DeviceStatus {
                        device: "pump-7".to_owned(),
                        is_connected: true,
                        clock: Some(ClockStatus { offset_ns: -1_500_000, bound_ns: 250_000, drift_ppb: 0 }),
                        lanes: vec![lane("bulk", 10), lane("urgent", 7)],
                        ..DeviceStatus::default()
                    },
                    DeviceStatus {
                        device: "x".to_owned(),
                        heard_ms_ago: Some(300_000),
                        notices: vec!["fork".to_owned()],
                        refused: Some("quarantined".to_owned()),
                        ..DeviceStatus::default()
                    },
                ],
            },
        };
        let expected = "\
gateway 0.1.0, up 90.0s; embedded broker 127.0.0.1:1883: connected
sink archive, required: up; 7 records, 0 missed, 0 devices wait, 0 refusals
sink search, best effort: REFUSES: search: 429; 0 records, 5 missed, 2 devices wait, 3 refusals
DEVICE  LANE    LINK              NEXT  DURABLE  HELD  LAG  GAPS  LOST  DROPPED  CLOCK          NOTICES
pump-7  bulk    up                  10        7     0    3     0     0        0  -1.5ms ±250us  -
pump-7  urgent  up                   7        7     0    3     0     0        0  -1.5ms ±250us  -
x       -       heard 5.0min ago     0        0     0    0     0     0        0  unknown        fork, refused: quarantined
";
        assert_eq!(table(&status), expected);
    }

    #[test]
    fn where_no_gateway_answers_that_is_said() {
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let message = ask(address, false).unwrap_err().to_string();
        assert!(message.starts_with(&format!("no gateway answers on {address}: ")), "{message}");
        assert!(message.contains("\nhint: is it running?"), "{message}");
    }
}
