//! A shore with a search cluster, a device that writes, and the question asked at the end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use driftlog_tests::clock;
use driftlog_tests::compare::{Comparison, compare};
use driftlog_tests::corpus::{Corpus, Feed, Style};
use driftlog_tests::device::{AgentSettings, Device};
use driftlog_tests::process::{Programs, last_lines, run};
use driftlog_tests::shore::{GatewaySettings, Shore};
use driftlog_tests::writer::{Journal, Writer, WriterConfig};

use crate::cluster::Cluster;

/// Time for whatever must happen sooner or later.
const LONG: Duration = Duration::from_secs(240);
const DEVICE: &str = "pump-1";

pub(crate) fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

pub(crate) struct World {
    folder: tempfile::TempDir,
    pub(crate) cluster: Cluster,
    pub(crate) shore: Shore,
    pub(crate) device: Device,
    alias: &'static str,
    has_archive: bool,
}

impl World {
    /// `more`: keys of the section `search`.
    pub(crate) fn new(cluster: Cluster, has_archive: bool, more: &str) -> Self {
        let alias = "edge";
        let folder = tempfile::tempdir().unwrap();
        let programs = Programs::in_one(Path::new(env!("CARGO_BIN_EXE_driftlog")));
        let search = format!("[search]\nurls = [\"{}\"]\nalias = \"{alias}\"\n{more}\n", cluster.url());
        let mut shore = Shore::new(
            &programs,
            &folder.path().join("gateway"),
            &GatewaySettings { more: search, has_archive, ..GatewaySettings::default() },
        )
        .unwrap();
        shore.start().unwrap();
        let settings = AgentSettings { delay_ms_max: 50, backoff_ms_max: 200, ..AgentSettings::default() };
        let mut device =
            Device::new(&programs, DEVICE, &folder.path().join(DEVICE), shore.broker(), &settings).unwrap();
        device.start().unwrap();
        Self { folder, cluster, shore, device, alias, has_archive }
    }

    pub(crate) fn writer(&self, lines_per_second: u64) -> Writer {
        let feed =
            |style: Style| (style.file_name().to_owned(), Feed::Generated(Corpus::new(style, 1, true)));
        let config = WriterConfig {
            logs: self.device.logs(),
            journal: self.folder.path().join("journal"),
            files: vec![feed(Style::Syslog), feed(Style::Json)],
            lines_per_second,
            rotate_bytes: 400_000,
            seed: 1,
        };
        Writer::start(config).unwrap()
    }

    fn read(&self) -> PathBuf {
        let folder = self.folder.path().join("read");
        self.cluster.as_archive(self.alias, &folder);
        folder
    }

    /// Waits until the device has nothing left, and checks that the cluster, and the archive if there
    /// is one, hold all that was written, once and in order.
    pub(crate) fn finish(&mut self, journal: &Journal) -> Comparison {
        let mut lag = String::new();
        let has_drained = clock::wait_until(LONG, || {
            let status = self.device.status();
            let has = status
                .as_ref()
                .is_some_and(|status| driftlog_tests::device::is_done(status, journal.lines()));
            lag = format!("{status:?}");
            std::thread::sleep(Duration::from_millis(100));
            has
        });
        let said = || last_lines(&self.shore.log(), 20).join("\n");
        assert!(has_drained, "not everything is acknowledged: {lag}\n{}", said());
        let read = self.read();
        let found = compare(&read, &[(DEVICE, journal)]).unwrap();
        assert!(found.is_exact(), "{found:#?}");
        if self.has_archive {
            let archived = compare(&self.shore.archive(), &[(DEVICE, journal)]).unwrap();
            assert!(archived.is_exact(), "{archived:#?}");
        }
        self.audit();
        found
    }

    /// The gateway's own audit of the cluster.
    fn audit(&self) {
        let mut command = self.shore.program();
        command.args(["audit", "--sink", "search", "--config"]).arg(self.shore.config());
        let output = run(command).unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The documents as they stand.
    pub(crate) fn documents(&self) -> Vec<String> {
        self.cluster.documents(self.alias)
    }

    pub(crate) fn indexes(&self) -> usize {
        self.cluster.indexes(self.alias)
    }
}
