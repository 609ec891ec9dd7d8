//! A shore with a sink on a server, a device that writes, and the question asked at the end.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use driftlog_tests::clock;
use driftlog_tests::compare::{Comparison, compare, compare_documents};
use driftlog_tests::corpus::{Corpus, Feed, Style};
use driftlog_tests::device::{AgentSettings, Device};
use driftlog_tests::process::{Programs, last_lines, run};
use driftlog_tests::servers::{Family, Search, Sink};
use driftlog_tests::shore::{GatewaySettings, Shore};
use driftlog_tests::writer::{Journal, Writer, WriterConfig};

/// Time for whatever must happen sooner or later.
const LONG: Duration = Duration::from_secs(240);
/// The alias of the indexes.
const ALIAS: &str = "edge";
/// The device.
pub(crate) const DEVICE: &str = "pump-1";

pub(crate) fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

pub(crate) struct World<S> {
    folder: tempfile::TempDir,
    pub(crate) server: S,
    pub(crate) shore: Shore,
    pub(crate) device: Device,
    has_archive: bool,
}

impl<S: Sink> World<S> {
    /// `start` is given the server's folder; `more`: keys of the sink's section.
    pub(crate) fn new(start: impl FnOnce(&Path) -> io::Result<S>, has_archive: bool, more: &str) -> Self {
        Self::behind(start, has_archive, more, None)
    }

    /// The same behind another broker than the gateway's own.
    pub(crate) fn behind(
        start: impl FnOnce(&Path) -> io::Result<S>,
        has_archive: bool,
        more: &str,
        broker: Option<SocketAddr>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let programs = programs();
        let server = start(&folder.path().join("server")).unwrap();
        let more = server.section(more).unwrap();
        let settings = GatewaySettings { more, has_archive, broker, ..GatewaySettings::default() };
        let mut shore = Shore::new(&programs, &folder.path().join("gateway"), &settings).unwrap();
        shore.start().unwrap();
        let settings = AgentSettings { delay_ms_max: 50, backoff_ms_max: 200, ..AgentSettings::default() };
        let mut device =
            Device::new(&programs, DEVICE, &folder.path().join(DEVICE), shore.broker(), &settings).unwrap();
        device.start().unwrap();
        Self { folder, server, shore, device, has_archive }
    }

    pub(crate) fn writer(&self, lines_per_second: u64) -> Writer {
        writer(&self.device, self.folder.path(), lines_per_second)
    }

    /// Waits until the device has nothing left, and checks that the server, and the archive if there
    /// is one, hold all that was written, once and in order.
    pub(crate) fn finish(&mut self, journal: &Journal) -> Comparison {
        drain(&self.device, &self.shore, journal);
        let found = self.assert_exact(&self.server, journal);
        if self.has_archive {
            // While it runs its files are compressed under other names.
            self.shore.stop().unwrap();
            let archived = compare(&self.shore.archive(), &[(DEVICE, journal)]).unwrap();
            assert!(archived.is_exact(), "{archived:#?}");
        }
        found
    }

    /// Checks that a server holds all that was written, once and in order, and that the gateway's own audit of
    /// it says so.
    pub(crate) fn assert_exact(&self, server: &impl Sink, journal: &Journal) -> Comparison {
        let found = compare_documents(&server.documents().unwrap(), &[(DEVICE, journal)]).unwrap();
        assert!(found.is_exact(), "{}: {found:#?}", server.name());
        let mut command = self.shore.program();
        command.args(["audit", "--sink", server.name(), "--config"]).arg(self.shore.config());
        let output = run(command).unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        found
    }

    /// Another gateway over the same server, which runs already.
    #[cfg(feature = "kafka")]
    pub(crate) fn second(&self, more: &str) -> Shore {
        let settings = GatewaySettings {
            more: self.server.section(more).unwrap(),
            has_archive: self.has_archive,
            broker: Some(self.shore.broker()),
            ..GatewaySettings::default()
        };
        let mut shore = Shore::new(&programs(), &self.folder.path().join("second"), &settings).unwrap();
        shore.start().unwrap();
        shore.wait_ready().unwrap();
        shore
    }
}

/// Writes to a device's logs; the journal of that is in `folder`.
pub(crate) fn writer(device: &Device, folder: &Path, lines_per_second: u64) -> Writer {
    let feed = |style: Style| (style.file_name().to_owned(), Feed::Generated(Corpus::new(style, 1, true)));
    let config = WriterConfig {
        logs: device.logs(),
        journal: folder.join("journal"),
        files: vec![feed(Style::Syslog), feed(Style::Json)],
        lines_per_second,
        rotate_bytes: 400_000,
        seed: 1,
    };
    Writer::start(config).unwrap()
}

/// Waits until a device has nothing left.
pub(crate) fn drain(device: &Device, shore: &Shore, journal: &Journal) {
    let mut lag = String::new();
    let has_drained = clock::wait_until(LONG, || {
        let status = device.status();
        let has =
            status.as_ref().is_some_and(|status| driftlog_tests::device::is_done(status, journal.lines()));
        lag = format!("{status:?}");
        std::thread::sleep(Duration::from_millis(100));
        has
    });
    let said = || last_lines(&shore.log(), 20).join("\n");
    assert!(has_drained, "not everything is acknowledged: {lag}\n{}", said());
}

/// A search server of the family that is asked for.
pub(crate) fn search(folder: &Path) -> io::Result<Search> {
    search_with(folder, None)
}

/// One that lets so many requests wait.
pub(crate) fn search_with(folder: &Path, queue: Option<u32>) -> io::Result<Search> {
    let is_elasticsearch = std::env::var("DRIFTLOG_SEARCH").is_ok_and(|name| name == "elasticsearch");
    let family = if is_elasticsearch { Family::Elasticsearch } else { Family::OpenSearch };
    Search::start(family, folder, ALIAS, queue)
}

/// One broker of Kafka.
#[cfg(feature = "kafka")]
pub(crate) fn kafka(folder: &Path) -> io::Result<driftlog_tests::servers::Kafka> {
    driftlog_tests::servers::Kafka::start(folder, driftlog_tests::servers::Wants::default())
}

pub(crate) fn programs() -> Programs {
    Programs::in_one(Path::new(env!("CARGO_BIN_EXE_driftlog")))
}
