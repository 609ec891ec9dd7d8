//! Indexes: their names, their template, when the next one begins.
//!
//! They are plain and numbered, `ALIAS-000001` and on, and read as one through the alias. A data stream
//! would not do: after its roll-over a document that is written again meets nothing.

use serde_json::Value;

use driftlog_proto::time::Unix;

use super::client::{Body, Client};
use super::config::SearchConfig;

/// The name of an index.
pub(super) fn name(alias: &str, number: u32) -> String {
    format!("{alias}-{number:06}")
}

/// Makes an index, unless it is there. What it is like says the template.
pub(super) fn ensure(client: &Client, alias: &str, number: u32) -> Result<(), String> {
    let name = name(alias, number);
    if client.call("HEAD", &format!("/{name}"), Body::NONE)?.is_success() {
        return Ok(());
    }
    install(client, alias)?;
    let answer = client.call("PUT", &format!("/{name}"), Body::json(b"{}"))?;
    let is_there = answer.status == 400 && answer.text().contains("resource_already_exists");
    if answer.is_success() || is_there {
        log::info!("search: index {name} begins");
        return Ok(());
    }
    Err(format!("index {name} cannot be made: {}", answer.text()))
}

/// Whether the next index is to begin: this one is large, or old with something in it.
pub(super) fn is_full(
    client: &Client,
    config: &SearchConfig,
    number: u32,
    now: Unix,
) -> Result<bool, String> {
    let name = name(&config.alias, number);
    let path = format!("/{name}/_stats/docs,store?filter_path=_all.primaries");
    let stats = client.call("GET", &path, Body::NONE)?;
    if !stats.is_success() {
        return Err(stats.text());
    }
    let stats = stats.json()?;
    let number = |path: &str| stats.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    if number("/_all/primaries/store/size_in_bytes") >= config.index_bytes_max {
        return Ok(true);
    }
    let path = format!("/{name}/_settings?filter_path=*.settings.index.creation_date");
    let settings = client.call("GET", &path, Body::NONE)?.json()?;
    let created = settings.get(&name).and_then(|one| one.pointer("/settings/index/creation_date"));
    let created: i64 = created.and_then(Value::as_str).and_then(|text| text.parse().ok()).unwrap_or(i64::MAX);
    let age = (now.0 / 1_000_000).saturating_sub(created);
    Ok(u64::try_from(age).is_ok_and(|age| age >= config.index_age_ms_max)
        && number("/_all/primaries/docs/count") > 0)
}

/// Deletes the indexes after which the next one began so long ago that they need not be kept.
///
/// A repeat that was put down for one of them makes it again, and meets nothing that it doubles.
pub(super) fn delete_old(
    client: &Client,
    config: &SearchConfig,
    newest: u32,
    now: Unix,
) -> Result<(), String> {
    let path = format!("/{}-*/_settings?filter_path=*.settings.index.creation_date", config.alias);
    let answer = client.call("GET", &path, Body::NONE)?;
    if !answer.is_success() {
        return Err(answer.text());
    }
    for number in outlived(&answer.json()?, config, newest, now) {
        let name = name(&config.alias, number);
        let answer = client.call("DELETE", &format!("/{name}"), Body::NONE)?;
        if !answer.is_success() {
            return Err(format!("index {name} cannot be deleted: {}", answer.text()));
        }
        log::info!("search: index {name} was kept for {} ms and is deleted", config.index_kept_ms);
    }
    Ok(())
}

/// Which of our own indexes below `newest` are to go, by when their successors were made.
fn outlived(settings: &Value, config: &SearchConfig, newest: u32, now: Unix) -> Vec<u32> {
    let made_at = |number: u32| {
        let made = settings.get(name(&config.alias, number))?.pointer("/settings/index/creation_date")?;
        made.as_str()?.parse::<i64>().ok()
    };
    let age = |number: u32| made_at(number).map(|made| (now.0 / 1_000_000).saturating_sub(made));
    let is_over = |age: i64| u64::try_from(age).is_ok_and(|age| age >= config.index_kept_ms);
    let mut outlived = Vec::new();
    // The age of the index after this one.
    let mut next = age(newest);
    for number in (1..newest).rev() {
        if made_at(number).is_some() && next.is_some_and(is_over) {
            outlived.push(number);
        }
        next = age(number).or(next);
    }
    outlived
}

/// Installs the template of the indexes; says what it did.
///
/// # Errors
/// What the cluster said.
pub fn setup(config: &SearchConfig) -> Result<Vec<String>, String> {
    let client = Client::new(config)?;
    let mut said = vec![greet(&client, config)?];
    install(&client, &config.alias)?;
    said.push(format!("the index template {:?} is installed", config.alias));
    Ok(said)
}

/// How the cluster stands to us, and what is missing there.
///
/// # Errors
/// What the cluster said.
pub fn standing(config: &SearchConfig) -> Result<Vec<String>, String> {
    let client = Client::new(config)?;
    let mut said = vec![greet(&client, config)?];
    let alias = &config.alias;
    let template = client.call("GET", &format!("/_index_template/{alias}"), Body::NONE)?;
    said.push(match template.status {
        200 => format!("the index template {alias:?} is there"),
        404 => format!("the index template {alias:?} is missing: `driftlog-gateway setup` installs it, and so does the first start"),
        _ => return Err(template.text()),
    });
    let indexes = client.call("GET", &format!("/_alias/{alias}"), Body::NONE)?;
    said.push(match indexes.status {
        200 => {
            let mut names: Vec<String> =
                indexes.json()?.as_object().map(|all| all.keys().cloned().collect()).unwrap_or_default();
            names.sort_unstable();
            format!("{} indexes, the newest is {}", names.len(), names.last().map_or("", String::as_str))
        }
        404 => "there is no index yet".to_owned(),
        _ => return Err(indexes.text()),
    });
    Ok(said)
}

fn greet(client: &Client, config: &SearchConfig) -> Result<String, String> {
    let answer = client.call("GET", "/", Body::NONE)?;
    if !answer.is_success() {
        return Err(answer.text());
    }
    let about = answer.json()?;
    let version = about.pointer("/version/number").and_then(Value::as_str).unwrap_or("of no known version");
    let family = about.pointer("/version/distribution").and_then(Value::as_str).unwrap_or("elasticsearch");
    Ok(format!("{}: {family} {version}", config.urls.first().map_or("", String::as_str)))
}

fn install(client: &Client, alias: &str) -> Result<(), String> {
    let body = template(alias);
    let path = format!("/_index_template/{alias}");
    let answer = client.call("PUT", &path, Body::json(body.as_bytes()))?;
    if answer.is_success() {
        Ok(())
    } else {
        Err(format!("the index template is not taken: {}", answer.text()))
    }
}

/// The template of the indexes, for the alias `ALIAS`. Fields that it does not name are kept and not
/// indexed, but for labels, which are bounded in number.
const TEMPLATE: &str = include_str!("template.json");

/// The template for this alias, which is a plain name.
pub(super) fn template(alias: &str) -> String {
    TEMPLATE.replace("ALIAS", alias)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::ecs::fields::{FIELDS, Kind};

    #[test]
    fn an_index_goes_when_the_next_one_is_old_and_never_the_newest_nor_one_that_is_not_ours() {
        let config =
            SearchConfig { alias: "edge".to_owned(), index_kept_ms: 1_000, ..SearchConfig::default() };
        let made = |at: &str| serde_json::json!({ "settings": { "index": { "creation_date": at } } });
        let settings = serde_json::json!({
            "edge-000001": made("1"), "edge-000002": made("1000"), "edge-000004": made("2000"),
            "edge-000005": made("3000"), "edge-other": made("1"), "edge-1": made("1"),
        });
        let outlived = |newest, ms: i64| outlived(&settings, &config, newest, Unix(ms * 1_000_000));
        assert_eq!(outlived(5, 1_999), [0; 0]);
        assert_eq!(outlived(5, 2_000), [1]);
        assert_eq!(outlived(5, 3_000), [2, 1]);
        assert_eq!(outlived(5, 4_000), [4, 2, 1]);
        assert_eq!(outlived(4, 9_000), [2, 1], "the ledger knows of no fifth");
        assert_eq!(outlived(1, 9_000), [0; 0]);
    }

    #[test]
    fn the_template_names_every_field_of_a_document_and_its_kind() {
        let template: Value = serde_json::from_str(&template("edge")).unwrap();
        assert_eq!(template["index_patterns"][0], "edge-*");
        assert!(template["template"]["aliases"]["edge"].is_object());
        for (field, kind) in FIELDS {
            let path = field.replace('.', "/properties/");
            let of = template.pointer(&format!("/template/mappings/properties/{path}/type"));
            let expected: &[&str] = match kind {
                Kind::Text => &["keyword", "text"],
                Kind::Time => &["date_nanos"],
                Kind::Number => &["long"],
                Kind::Hex => &["keyword"],
                Kind::Base64 => &["keyword"],
                Kind::Flag => &["boolean"],
                Kind::Map => &["object"],
            };
            let of = of.and_then(Value::as_str).unwrap_or_default();
            assert!(expected.contains(&of), "{field} is {of:?} and should be one of {expected:?}");
        }
    }
}
