//! A search server, and what is in it: read by its own interface, not by the gateway's code.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use driftlog_tests::clock;
use driftlog_tests::ports;
use driftlog_tests::process::Process;
use serde_json::{Value, json};

use crate::world::{Server, start};

/// Time for a server to answer, the first time with its installation.
const READY: Duration = Duration::from_secs(300);
/// The alias of its indexes.
const ALIAS: &str = "edge";

/// One node of a search server.
pub(crate) struct Cluster {
    folder: tempfile::TempDir,
    port: u16,
    queue: Option<u32>,
    process: Option<Process>,
}

impl Cluster {
    /// A server that answers. `queue`: how many requests it lets wait.
    pub(crate) fn start(queue: Option<u32>) -> Self {
        let port = ports::free().unwrap();
        let mut cluster = Self { folder: tempfile::tempdir().unwrap(), port, queue, process: None };
        cluster.begin();
        cluster
    }

    pub(crate) fn begin(&mut self) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("servers/search");
        let mut command = Command::new(script);
        command.arg(self.folder.path()).arg(self.port.to_string());
        command.arg(std::env::var("DRIFTLOG_SEARCH").unwrap_or_else(|_| "opensearch".to_owned()));
        if let Some(queue) = self.queue {
            command.env("QUEUE", queue.to_string());
        }
        let mut process = start("the search server", command, &self.folder.path().join("log"));
        let mut is_ready = false;
        clock::wait_until(READY, || {
            is_ready = self.ask("GET", "/", None).is_ok();
            is_ready || process.ended().is_some()
        });
        assert!(is_ready, "it does not answer:\n{}", self.said());
        self.process = Some(process);
    }

    fn said(&self) -> String {
        driftlog_tests::process::last_lines(&self.folder.path().join("log"), 20).join("\n")
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        self.process.as_mut().unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Asks, and takes the answer as JSON.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Result<Value, String> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            .build()
            .into();
        let request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url()));
        let request = request.header("content-type", "application/json");
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let mut answer = agent.run(request.body(body).unwrap()).map_err(|error| error.to_string())?;
        let status = answer.status();
        let text = answer.body_mut().with_config().limit(1 << 30).read_to_string();
        let text = text.map_err(|error| error.to_string())?;
        if !status.is_success() {
            return Err(format!("{status}: {text}"));
        }
        serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))
    }

    /// The indexes behind the alias.
    pub(crate) fn indexes(&self) -> usize {
        self.ask("GET", &format!("/_alias/{ALIAS}"), None).map_or(0, |all| all.as_object().unwrap().len())
    }
}

impl Server for Cluster {
    const SINK: &'static str = "search";

    fn section(&self, more: &str) -> String {
        format!("[search]\nurls = [\"{}\"]\nalias = \"{ALIAS}\"\n{more}\n", self.url())
    }

    fn documents(&self) -> Vec<String> {
        // The first batch makes the first index.
        if self.indexes() == 0 {
            return Vec::new();
        }
        self.ask("POST", &format!("/{ALIAS}/_refresh"), None).unwrap();
        let sort = json!([
            { "host.id": "asc" }, { "driftlog.lane": "asc" }, { "event.sequence": "asc" }, { "driftlog.kind": "desc" },
        ]);
        let first = json!({ "size": 5_000, "sort": sort, "track_total_hits": true });
        let mut page = self.ask("POST", &format!("/{ALIAS}/_search?scroll=2m"), Some(first)).unwrap();
        let total = page["hits"]["total"]["value"].as_u64().unwrap();
        let mut documents = Vec::new();
        while let Some(hits) = page["hits"]["hits"].as_array().filter(|hits| !hits.is_empty()) {
            documents.extend(hits.iter().map(|hit| hit["_source"].to_string()));
            let next = json!({ "scroll": "2m", "scroll_id": page["_scroll_id"] });
            page = self.ask("POST", "/_search/scroll", Some(next)).unwrap();
        }
        assert_eq!(documents.len() as u64, total, "the server counts as many");
        documents
    }
}
