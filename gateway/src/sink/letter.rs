//! Dead letters: what a sink will never take as it is, kept in its place as text.

use serde_json::{Map, Value, json};

/// What a letter may take up beside its document.
#[cfg(any(feature = "kafka", test))]
const LETTER_BYTES: usize = 4096;

/// The letter in place of a document, without a newline: what says whose it is stays as it is, the
/// document itself stands in it as text.
pub(super) fn of(source: &[u8], why: &str) -> Vec<u8> {
    written(source, source, why)
}

/// The letter in place of a document that is too large: as much of its text as is sure to fit.
#[cfg(any(feature = "kafka", test))]
pub(super) fn cut(source: &[u8], why: &str, bytes_max: usize) -> Vec<u8> {
    // What is escaped once more grows to twice its length at most.
    let room = bytes_max.saturating_sub(LETTER_BYTES) / 2;
    written(source, source.get(..room).unwrap_or(source), why)
}

fn written(source: &[u8], text: &[u8], why: &str) -> Vec<u8> {
    let document: Map<String, Value> = serde_json::from_slice(source).unwrap_or_default();
    let mut letter = Map::new();
    for key in ["@timestamp", "host", "ecs"] {
        if let Some(value) = document.get(key) {
            letter.insert(key.to_owned(), value.clone());
        }
    }
    let part = |path: &str| Value::Object(document.clone()).pointer(path).cloned();
    let mut event = Map::new();
    for key in ["sequence", "ingested"] {
        if let Some(value) = part(&format!("/event/{key}")) {
            event.insert(key.to_owned(), value);
        }
    }
    event.insert("kind".to_owned(), json!("pipeline_error"));
    event.insert("dataset".to_owned(), json!("driftlog.deadletter"));
    let mut driftlog = Map::new();
    for key in ["lane", "run", "chain"] {
        if let Some(value) = part(&format!("/driftlog/{key}")) {
            driftlog.insert(key.to_owned(), value);
        }
    }
    driftlog.insert("kind".to_owned(), json!("deadletter"));
    let mut dead = json!({ "reason": why, "document": String::from_utf8_lossy(text) });
    let is_record = part("/driftlog/kind").is_some_and(|kind| kind == "record");
    if let (true, Some(seq)) = (is_record, part("/event/sequence").as_ref().and_then(Value::as_u64)) {
        dead["from"] = json!(seq);
        dead["to"] = json!(seq + 1);
        dead["records"] = json!(1);
    }
    driftlog.insert("deadletter".to_owned(), dead);
    letter.insert("message".to_owned(), json!(format!("the sink does not take a document: {why}")));
    letter.insert("event".to_owned(), Value::Object(event));
    letter.insert("driftlog".to_owned(), Value::Object(driftlog));
    Value::Object(letter).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_of_what_is_too_large_fits() {
        for filling in ["x", "\"", "\\", "\u{1}", "\u{e9}", "\u{ffff}"] {
            let document = json!({ "message": filling.repeat(40_000), "host": { "id": "pump-7" } });
            let letter = cut(document.to_string().as_bytes(), "too large", 20_000);
            assert!(letter.len() <= 20_000, "{filling:?}: {}", letter.len());
            let letter: Value = serde_json::from_slice(&letter).unwrap();
            assert!(letter["driftlog"]["deadletter"]["document"].as_str().unwrap().len() > 2_000);
        }
    }

    #[test]
    fn a_letter_says_whose_it_is_and_holds_the_document_whole() {
        let source = br#"{"@timestamp":"2026-11-26T00:00:00Z","message":"m","labels":{"rack":"x"},"event":{"sequence":7,"ingested":"i","created":"c"},"driftlog":{"kind":"record","lane":"bulk","run":"00000000000000ab"},"host":{"id":"pump-7"}}"#;
        let letter: Value =
            serde_json::from_slice(&of(source, "mapper_parsing_exception: no number")).unwrap();
        assert_eq!(letter["event"]["sequence"], 7);
        assert_eq!(letter["driftlog"]["kind"], "deadletter");
        assert_eq!(letter["driftlog"]["run"], "00000000000000ab");
        assert_eq!(letter["driftlog"]["deadletter"]["to"], 8);
        assert_eq!(letter["host"]["id"], "pump-7");
        assert_eq!(letter["labels"], Value::Null, "what was rejected is not offered again");
        assert_eq!(letter["driftlog"]["deadletter"]["document"].as_str().unwrap().as_bytes(), source);
    }
}
