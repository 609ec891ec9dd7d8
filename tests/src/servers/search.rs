//! A search server, read by its own interface.

use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Server, Sink};

/// Time for an answer.
const ANSWER_WAIT: Duration = Duration::from_secs(30);
/// Documents in one page of a long answer.
const PAGE: usize = 5_000;
/// Bytes of one answer.
const ANSWER_BYTES_MAX: u64 = 1 << 30;

/// Whose server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// OpenSearch 2.18.
    #[default]
    OpenSearch,
    /// Elasticsearch 7.10.2.
    Elasticsearch,
}

impl Family {
    /// Its name, on the command line too.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenSearch => "opensearch",
            Self::Elasticsearch => "elasticsearch",
        }
    }

    /// Its name as its makers write it.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::OpenSearch => "OpenSearch",
            Self::Elasticsearch => "Elasticsearch",
        }
    }
}

/// One node of a search server.
#[derive(Debug)]
pub struct Search {
    server: Server,
    alias: String,
}

impl Search {
    /// A server that answers, where the gateway's indexes have this alias. `queue`: how many requests it lets wait.
    ///
    /// # Errors
    /// When it cannot be had, or does not answer.
    pub fn start(family: Family, folder: &Path, alias: &str, queue: Option<u32>) -> io::Result<Self> {
        let environment = queue.map(|queue| ("QUEUE", queue.to_string())).into_iter().collect();
        let server = Server::new("search", folder, vec![family.name().into()], environment)?;
        let mut search = Self { server, alias: alias.to_owned() };
        search.start_again()?;
        Ok(search)
    }

    /// Starts it with what it has, and waits until it answers.
    ///
    /// # Errors
    /// When it does not.
    pub fn start_again(&mut self) -> io::Result<()> {
        self.server.begin()?;
        let url = self.url();
        self.server.wait(|_| ask(&url, "GET", "/", None).is_ok())
    }

    /// The server that it is.
    pub fn server(&mut self) -> &mut Server {
        &mut self.server
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Asks, and takes the answer as JSON.
    ///
    /// # Errors
    /// When there is none, or it is a refusal.
    pub fn ask(&self, method: &str, path: &str, body: Option<Value>) -> io::Result<Value> {
        ask(&self.url(), method, path, body)
    }

    /// The indexes behind the alias.
    #[must_use]
    pub fn indexes(&self) -> usize {
        let all = self.ask("GET", &format!("/_alias/{}", self.alias), None);
        all.ok().and_then(|all| all.as_object().map(serde_json::Map::len)).unwrap_or(0)
    }
}

impl Sink for Search {
    fn name(&self) -> &'static str {
        "search"
    }

    fn section(&self, more: &str) -> io::Result<String> {
        Ok(format!("[search]\nurls = [\"{}\"]\nalias = \"{}\"\n{more}\n", self.url(), self.alias))
    }

    fn documents(&self) -> io::Result<Vec<String>> {
        let alias = &self.alias;
        // The first batch makes the first index.
        if self.indexes() == 0 {
            return Ok(Vec::new());
        }
        self.ask("POST", &format!("/{alias}/_refresh"), None)?;
        let sort = json!([
            { "host.id": "asc" }, { "driftlog.lane": "asc" }, { "event.sequence": "asc" }, { "driftlog.kind": "desc" },
        ]);
        let first = json!({ "size": PAGE, "sort": sort, "track_total_hits": true });
        let mut page = self.ask("POST", &format!("/{alias}/_search?scroll=2m"), Some(first))?;
        let total = page["hits"]["total"]["value"].as_u64();
        let mut documents = Vec::new();
        while let Some(hits) = page["hits"]["hits"].as_array().filter(|hits| !hits.is_empty()) {
            documents.extend(hits.iter().map(|hit| hit["_source"].to_string()));
            let next = json!({ "scroll": "2m", "scroll_id": page["_scroll_id"] });
            page = self.ask("POST", "/_search/scroll", Some(next))?;
        }
        match total == Some(documents.len() as u64) {
            true => Ok(documents),
            false => {
                let read = documents.len();
                Err(io::Error::other(format!("the server counts {total:?} documents, and gave {read}")))
            }
        }
    }
}

fn ask(url: &str, method: &str, path: &str, body: Option<Value>) -> io::Result<Value> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(ANSWER_WAIT))
        .build()
        .into();
    let request = ureq::http::Request::builder().method(method).uri(format!("{url}{path}"));
    let request = request.header("content-type", "application/json");
    let request = request.body(body.map(|body| body.to_string()).unwrap_or_default());
    let mut answer = agent.run(request.map_err(io::Error::other)?).map_err(io::Error::other)?;
    let status = answer.status();
    let text = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
    let text = text.map_err(io::Error::other)?;
    match status.is_success() {
        true => serde_json::from_str(&text).map_err(io::Error::other),
        false => Err(io::Error::other(format!("{status}: {text}"))),
    }
}
