//! What can be configured about the search sink.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, Document};

const MIB: u64 = 1024 * 1024;
/// Requests that may be in flight at once, at most.
pub const IN_FLIGHT_MAX: u16 = 64;

/// A cluster of Elasticsearch or OpenSearch that takes the records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchConfig {
    /// Its nodes, in the order in which they are tried; none: there is no such sink.
    pub urls: Vec<String>,
    /// Whether an acknowledgement waits for it.
    pub required: bool,
    /// The alias of all indexes, and the beginning of their names.
    pub alias: String,
    /// A user, with `password_file`.
    pub username: Option<String>,
    /// Holds the user's password.
    pub password_file: Option<PathBuf>,
    /// Holds an API key, in place of a user.
    pub api_key_file: Option<PathBuf>,
    /// Whom to trust, in place of the system's authorities.
    pub ca_file: Option<PathBuf>,
    /// Bytes of one request before compression; a longer document goes alone.
    pub request_bytes_max: u64,
    /// Requests in flight at once.
    pub in_flight: u16,
    /// How long an answer is waited for.
    pub timeout_ms: u64,
    /// Whether requests are compressed.
    pub gzip: bool,
    /// Bytes of an index, without its replicas, before the next begins.
    pub index_bytes_max: u64,
    /// Milliseconds before the next begins, if it has anything in it.
    pub index_age_ms_max: u64,
    /// Milliseconds for which an index is kept after the next one began; 0: for ever.
    pub index_kept_ms: u64,
}

impl Default for SearchConfig {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            required: true,
            alias: "driftlog".to_owned(),
            username: None,
            password_file: None,
            api_key_file: None,
            ca_file: None,
            request_bytes_max: 4 * MIB,
            in_flight: 4,
            timeout_ms: 60_000,
            gzip: true,
            index_bytes_max: 32 * 1024 * MIB,
            index_age_ms_max: 7 * 86_400_000,
            index_kept_ms: 0,
        }
    }
}

/// How the gateway says who it is.
#[derive(Debug)]
pub(crate) enum Login {
    None,
    Basic { user: String, password: String },
    ApiKey(String),
}

impl SearchConfig {
    /// Whether there is such a sink.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.urls.is_empty()
    }

    pub(crate) fn login(&self) -> Result<Login, String> {
        let read = |key: &str, path: &PathBuf| {
            std::fs::read_to_string(path)
                .map(|text| text.trim_end_matches(['\n', '\r']).to_owned())
                .map_err(|error| format!("search.{key}: {}: {error}", path.display()))
        };
        match (&self.username, &self.password_file, &self.api_key_file) {
            (None, None, Some(path)) => Ok(Login::ApiKey(read("api_key_file", path)?)),
            (Some(user), Some(path), None) => {
                Ok(Login::Basic { user: user.clone(), password: read("password_file", path)? })
            }
            (None, None, None) => Ok(Login::None),
            _ => Err("search: give username with password_file, or api_key_file alone".to_owned()),
        }
    }

    pub(crate) fn check(&self, document: &Document) -> Result<(), ConfigError> {
        for url in &self.urls {
            let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
            if rest.is_none_or(|rest| rest.is_empty() || rest.contains(['@', ' '])) {
                let problem = "is not http://HOST:PORT or https://HOST:PORT";
                return Err(document.wrong("search.urls", format_args!("{url:?}"), problem));
            }
        }
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
        let begins = self.alias.starts_with(|c: char| c.is_ascii_lowercase());
        if !begins || !self.alias.chars().all(is_name) || self.alias.len() > 200 {
            let problem = "is not the name of an index (a to z, then 0 9 . _ - too, at most 200 bytes)";
            return Err(document.wrong("search.alias", format_args!("{:?}", self.alias), problem));
        }
        if self.is_on()
            && let Err(problem) = self.login()
        {
            return Err(document.mistake("search.urls", problem, None));
        }
        if !(64 * 1024..=64 * MIB).contains(&self.request_bytes_max) {
            let problem = "is not between 64 KiB and 64 MiB";
            return Err(document.wrong("search.request_bytes_max", self.request_bytes_max, problem));
        }
        if !(1..=IN_FLIGHT_MAX).contains(&self.in_flight) {
            return Err(document.wrong("search.in_flight", self.in_flight, "is not between 1 and 64"));
        }
        if !(1_000..=600_000).contains(&self.timeout_ms) {
            return Err(document.wrong(
                "search.timeout_ms",
                self.timeout_ms,
                "is not between 1000 and 600000",
            ));
        }
        if self.index_bytes_max < MIB {
            return Err(document.wrong("search.index_bytes_max", self.index_bytes_max, "is less than 1 MiB"));
        }
        if self.index_age_ms_max < 60_000 {
            return Err(document.wrong(
                "search.index_age_ms_max",
                self.index_age_ms_max,
                "is less than a minute",
            ));
        }
        if (1..1_000).contains(&self.index_kept_ms) {
            return Err(document.wrong("search.index_kept_ms", self.index_kept_ms, "is less than a second"));
        }
        Ok(())
    }
}
