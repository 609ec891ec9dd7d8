//! What the documents look like, and that bodies come back bit for bit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use driftlog_gateway::sink::Notice;
use driftlog_gateway::sink::ecs::Documents;
use driftlog_gateway::sink::ecs::document::{Document, Fact, Outline};
use driftlog_gateway::sink::ecs::fields::{FIELDS, Kind};
use driftlog_gateway::sink::{Entry, What};
use driftlog_proto::block::{Ending, Format, Part, Record, Severity};
use driftlog_proto::ids::Seq;
use driftlog_proto::item::Cause;
use serde_json::Value;

use crate::fixture::{Device, line};

fn written(entries: &[Entry]) -> Vec<String> {
    let (mut documents, mut out) = (Documents::new(), Vec::new());
    for entry in entries {
        documents.write(entry, &mut out);
    }
    let text = String::from_utf8(out).unwrap();
    assert!(text.ends_with('\n'));
    text.lines().map(str::to_owned).collect()
}

fn labelled() -> Device {
    let mut device = Device::new("pump-7");
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    device.labels = Arc::new(vec![label("site", "no\"rth"), label("line", "2")]);
    device
}

/// A block whose header says a codec that does not fit its payload.
fn unreadable(device: &mut Device) -> Entry {
    let mut copy = device.clone();
    let entry = copy.some(3);
    let What::Block { header, .. } = entry.what else { panic!("not a block") };
    device.sealed(header, b"no columns at all")
}

/// One document of every kind, with every field.
fn everything() -> Vec<Entry> {
    let mut device = labelled();
    device.source = b"/var/log/\xff.log".to_vec();
    let start = device.start(0xa1);
    let records = [
        Record { severity: Severity::ERROR, ..line(b"pump \"3\" stopped\t\x01") },
        Record { part: Part::First, ending: Ending::None, ..line(b"\xc3") },
        Record { part: Part::Last, cut: true, format: Format::Json, ..line(b"{}") },
    ];
    let block = device.block(&records);
    let gap = device.gap(12, Cause::Overflow);
    let notice = device.notice(Notice::Fork);
    vec![start, block, gap, notice, unreadable(&mut device)]
}

#[test]
fn documents_look_as_they_did() {
    let all = written(&everything());
    let device = r#""host":{"id":"pump-7","name":"pump-7"},"labels":{"site":"no\"rth","line":"2"},"ecs":{"version":"8.17.0"}}"#;
    let arrived = "2026-11-23T12:00:00.000000000Z";
    let block = r#""kind":"record","lane":"bulk","run":"00000000000000a1","boot":"07070707070707070707070707070707","clock":{"bound_ns":1500000,"basis":"measured"}}"#;
    let file = "\"file\":{\"path\":\"/var/log/\u{fffd}.log\"}},\"driftlog\":{\"file\":\"000000000000f11e\",\"path\":\"L3Zhci9sb2cv/y5sb2c=\"";
    let event = |seq: u64, more: &str, created: &str| {
        format!(
            r#""event":{{"sequence":{seq},{more}"created":"2001-09-09T01:46:40.{created}Z","ingested":"{arrived}","kind":"event","dataset":"driftlog.record"}}"#
        )
    };
    let mut expected = [
        format!(
            r#"{{"@timestamp":"{arrived}","message":"run 00000000000000a1 begins: the first of this log","event":{{"sequence":0,"ingested":"{arrived}","kind":"event","dataset":"driftlog.start"}},"driftlog":{{"parent":{{"run":"0000000000000000","seq":0,"chain":"0000000000000000"}},"chain":"CHAIN","kind":"start","lane":"bulk","run":"00000000000000a1"}},{device}"#
        ),
        format!(
            r#"{{"@timestamp":"{arrived}","message":"pump \"3\" stopped\t\u0001",{},"log":{{"level":"error","offset":100,{file},"mono_ns":5000000000,{block},{device}"#,
            event(0, r#""severity":17,"#, "000000000")
        ),
        format!(
            r#"{{"@timestamp":"2026-11-23T12:00:00.001000000Z","message":"{}",{},"log":{{"offset":119,{file},"mono_ns":5001000000,"part":"first","ending":"none","body":"ww==",{block},{device}"#,
            '\u{fffd}',
            event(1, "", "001000000")
        ),
        format!(
            r#"{{"@timestamp":"2026-11-23T12:00:00.002000000Z","message":"{{}}",{},"log":{{"offset":120,{file},"mono_ns":5002000000,"part":"last","cut":true,"format":"json","chain":"CHAIN",{block},{device}"#,
            event(2, "", "002000000")
        ),
        format!(
            r#"{{"@timestamp":"{arrived}","message":"12 records from 3 to below 15 are gone: overflow","event":{{"sequence":3,"ingested":"{arrived}","kind":"pipeline_error","dataset":"driftlog.gap"}},"driftlog":{{"gap":{{"from":3,"to":15,"records":12,"cause":"overflow"}},"chain":"000000000000c0e1","kind":"gap","lane":"bulk","run":"00000000000000a1"}},{device}"#
        ),
        format!(
            r#"{{"@timestamp":"{arrived}","message":"fork: the device's flash forgot records that it had sent","event":{{"sequence":15,"ingested":"{arrived}","kind":"event","dataset":"driftlog.notice"}},"driftlog":{{"notice":"fork","chain":"000000000000c0e1","kind":"notice","lane":"bulk","run":"00000000000000a1"}},{device}"#
        ),
    ];
    // Chains are hashes: taken from where they belong.
    let entries = everything();
    for (text, entry) in [(0, 0), (3, 1)] {
        expected[text] = expected[text].replace("CHAIN", &entries[entry].end.chain.to_string());
    }
    for (is, should) in all.iter().zip(&expected) {
        assert_eq!(is, should);
    }
    assert_eq!(all.len(), expected.len() + 1);
    let dead: Value = serde_json::from_str(all.last().unwrap()).unwrap();
    assert_eq!(dead["message"], "a block of 3 records could not be unpacked: the bytes end too early");
    assert_eq!(dead["driftlog"]["deadletter"]["from"], 15);
    assert_eq!(dead["driftlog"]["deadletter"]["to"], 18);
}

/// Every leaf of a document, `labels` as one.
fn leaves(prefix: &str, value: &Value, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) if prefix != "labels" => {
            for (name, value) in fields {
                let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                leaves(&path, value, into);
            }
        }
        leaf => {
            into.insert(prefix.to_owned(), leaf.clone());
        }
    }
}

#[test]
fn every_field_of_every_document_is_listed_and_of_its_kind_and_every_listed_field_occurs() {
    let mut seen = BTreeSet::new();
    for line in written(&everything()) {
        let mut fields = BTreeMap::new();
        leaves("", &serde_json::from_str(&line).unwrap(), &mut fields);
        for (name, value) in fields {
            let listed = FIELDS.iter().find(|(field, _)| *field == name);
            let (_, kind) = listed.unwrap_or_else(|| panic!("{name} is not listed"));
            let text = value.as_str().unwrap_or_default();
            let is_right = match kind {
                Kind::Text => value.is_string(),
                Kind::Time => text.len() == 30 && text.ends_with('Z') && text.as_bytes()[10] == b'T',
                Kind::Number => value.is_u64(),
                Kind::Hex => [16, 32].contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit()),
                Kind::Base64 => text.len() % 4 == 0 && !text.is_empty(),
                Kind::Flag => value == Value::Bool(true),
                Kind::Map => value.as_object().is_some_and(|map| map.values().all(Value::is_string)),
            };
            assert!(is_right, "{name} is no {}: {value}", kind.name());
            seen.insert(name);
        }
    }
    let listed: BTreeSet<String> = FIELDS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(seen, listed);
}

#[test]
fn the_documentation_lists_every_field_with_its_kind() {
    let text = include_str!("../../../docs/archive-format.md");
    let table = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let fields: Vec<(&str, &str)> = table
        .filter_map(|(name, rest)| Some((name, rest.split_once(" | ")?.0)))
        .filter(|(name, _)| !name.starts_with("archive/"))
        .collect();
    let listed: Vec<(&str, &str)> = FIELDS.iter().map(|(name, kind)| (*name, kind.name())).collect();
    assert_eq!(fields, listed);
}

#[test]
fn bodies_come_back_bit_for_bit() {
    let every_byte: Vec<u8> = (0..=255).collect();
    let long = vec![b'x'; 30_000];
    let bodies: Vec<&[u8]> = vec![
        b"",
        b"plain",
        b"\"quoted\" \\ back\\slash\\",
        b"\r",
        b"a\0b\x1b[31m\x7f",
        "Grüße, 日本語 \u{2028} \u{1f600}".as_bytes(),
        b"\xff\xfe\x00",
        b"cut in the middle of \xe6\x97",
        &every_byte,
        &long,
        b"{\"json\":true}",
    ];
    let mut device = Device::new("pump-1");
    let mut records: Vec<Record<'_>> = bodies.iter().map(|body| line(body)).collect();
    records.push(Record { ending: Ending::None, ..line(b"the file's last line, unfinished") });
    records.push(Record { part: Part::First, ending: Ending::None, ..line(&long) });
    records.push(Record { part: Part::Middle, ending: Ending::None, ..line(b"\x9f\x98") });
    records.push(Record { part: Part::Last, cut: true, ..line(b"") });
    let mut file = Vec::new();
    for record in &records {
        file.extend_from_slice(record.body);
        if record.ending == Ending::Newline {
            file.push(b'\n');
        }
    }
    let start = device.start(1);
    let mut restored = Vec::new();
    let mut offset = 100;
    for (text, record) in written(&[start, device.block(&records)]).iter().skip(1).zip(&records) {
        let document: Document<'_> = serde_json::from_str(text).unwrap();
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(value["log"]["offset"], offset, "where it stood in the file");
        assert_eq!(value["message"], *String::from_utf8_lossy(record.body));
        let body = document.body().unwrap();
        assert_eq!(body, record.body);
        restored.extend_from_slice(&body);
        if document.driftlog.ending.is_none() {
            restored.push(b'\n');
        }
        offset = 100 + restored.len() as u64;
    }
    assert_eq!(restored, file);
}

#[test]
fn an_outline_says_what_the_entry_said() {
    for entry in everything() {
        for text in written(std::slice::from_ref(&entry)) {
            let outline = Outline::parse(text.as_bytes()).unwrap();
            assert_eq!((&outline.device, outline.lane, outline.run), (&entry.device, entry.lane, entry.run));
            match (&entry.what, outline.fact) {
                (What::Start { parent }, Fact::Start { parent: read }) => assert_eq!(*parent, read),
                (What::Block { .. }, Fact::Record) => {}
                (What::Block { header, .. }, Fact::DeadLetter { to }) => {
                    assert_eq!((header.first, header.end()), (outline.seq, to));
                }
                (What::Gap { from, to, cause }, Fact::Gap { to: read, cause: why }) => {
                    assert_eq!((*from, *to, *cause), (outline.seq, read, why));
                }
                (What::Notice(notice), Fact::Notice(read)) => assert_eq!(*notice, read),
                other => panic!("{other:?}"),
            }
            let is_last = outline.seq.0 + 1 == entry.end.seq.0 || !matches!(outline.fact, Fact::Record);
            assert_eq!(outline.end(), is_last.then_some(entry.end));
        }
    }
}

#[test]
fn a_block_that_cannot_be_unpacked_is_kept_whole() {
    let mut device = Device::new("pump-1");
    device.start(1);
    let entry = unreadable(&mut device);
    let What::Block { sealed, .. } = &entry.what else { panic!("not a block") };
    let mut documents = Documents::new();
    let mut out = Vec::new();
    documents.write(&entry, &mut out);
    assert_eq!(documents.dead_letters(), 1);
    let value: Value = serde_json::from_slice(&out).unwrap();
    let item = value["driftlog"]["deadletter"]["item"].as_str().unwrap();
    assert_eq!(driftlog_gateway::sink::ecs::json::base64_decode(item).unwrap(), **sealed);
    let good = written(&[device.some(1)]);
    assert_eq!(Outline::parse(good[0].as_bytes()).unwrap().seq, Seq(3), "the next block is written as ever");
}

#[test]
fn what_is_no_document_is_refused_with_a_reason() {
    let good = &written(&everything())[4];
    assert!(Outline::parse(good.as_bytes()).is_ok());
    for (wrong, why) in [
        (good.replace("\"gap\":{", "\"other\":{"), "a gap without its own field"),
        (good.replace("overflow\"}", "rust\"}"), "there is no cause rust"),
        (good.replace("\"lane\":\"bulk\"", "\"lane\":\"slow\""), "there is no lane slow"),
        (good.replace("00000000000000a1", "a1"), "a1 is not 16 hexadecimal digits"),
        (good.replace("pump-7", "pump 7"), "not a device id"),
        (good.replace("\"kind\":\"gap\"", "\"kind\":\"hole\""), "there is no kind hole"),
        (good[..100].to_owned(), "EOF while parsing"),
    ] {
        let reason = Outline::parse(wrong.as_bytes()).unwrap_err();
        assert!(reason.contains(why), "{reason}");
    }
}
