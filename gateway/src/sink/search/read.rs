//! Reading a cluster's documents back, in the order of the devices' histories.

use serde_json::{Value, json};

use super::client::{Body, Client};
use super::config::SearchConfig;

/// Documents of one answer.
const PAGE: usize = 2_000;
/// How long the cluster keeps its place for us.
const KEEP: &str = "5m";

/// Which documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All.
    All,
    /// The dead letters.
    DeadLetters,
}

/// Gives every document to `each`, as text: by device, lane and number, a start before the records
/// that follow it. What is written meanwhile is not among them. Returns how many there were.
///
/// # Errors
/// What the cluster said, or what `each` said.
pub fn documents(
    config: &SearchConfig,
    which: Which,
    each: &mut dyn FnMut(&[u8]) -> Result<(), String>,
) -> Result<u64, String> {
    let client = Client::new(config)?;
    let refresh = client.call("POST", &format!("/{}/_refresh", config.alias), Body::NONE)?;
    if refresh.status == 404 {
        return Ok(0);
    }
    let query = match which {
        Which::All => json!({ "match_all": {} }),
        Which::DeadLetters => json!({ "term": { "driftlog.kind": "deadletter" } }),
    };
    let sort = json!([
        { "host.id": "asc" }, { "driftlog.lane": "asc" }, { "event.sequence": "asc" }, { "driftlog.kind": "desc" },
    ]);
    let first = json!({ "size": PAGE, "query": query, "sort": sort }).to_string();
    let path = format!("/{}/_search?scroll={KEEP}", config.alias);
    let mut answer = ask(&client, "POST", &path, &first)?;
    let mut count = 0;
    loop {
        let scroll = answer.get("_scroll_id").and_then(Value::as_str).unwrap_or_default().to_owned();
        let hits =
            answer.pointer("/hits/hits").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for hit in hits {
            let source = hit.get("_source").ok_or("a hit without its document")?;
            each(source.to_string().as_bytes())?;
            count += 1;
        }
        let next = json!({ "scroll": KEEP, "scroll_id": scroll }).to_string();
        if hits.len() < PAGE {
            // It would end by itself after a while.
            let _ = client.call(
                "DELETE",
                "/_search/scroll",
                Body::json(json!({ "scroll_id": scroll }).to_string().as_bytes()),
            );
            return Ok(count);
        }
        answer = ask(&client, "POST", "/_search/scroll", &next)?;
    }
}

fn ask(client: &Client, method: &str, path: &str, body: &str) -> Result<Value, String> {
    let answer = client.call(method, path, Body::json(body.as_bytes()))?;
    if !answer.is_success() {
        return Err(answer.text());
    }
    let value = answer.json()?;
    // Half an answer is none: what an audit does not see it would call missing.
    let failed = value.pointer("/_shards/failed").and_then(Value::as_u64).unwrap_or(0);
    if failed > 0 || value.get("timed_out").and_then(Value::as_bool).unwrap_or(false) {
        return Err(format!("only a part of the shards answered: {}", answer.text()));
    }
    Ok(value)
}
