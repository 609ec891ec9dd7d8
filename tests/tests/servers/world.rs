//! A shore with a sink on a server, a device that writes, and the question asked at the end.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use driftlog_tests::clock;
use driftlog_tests::compare::{Comparison, compare};
use driftlog_tests::corpus::{Corpus, Feed, Style};
use driftlog_tests::device::{AgentSettings, Device};
use driftlog_tests::process::{Process, Programs, last_lines, run};
use driftlog_tests::shore::{GatewaySettings, Shore};
use driftlog_tests::writer::{Journal, Writer, WriterConfig};

/// A server that a gateway has for a sink.
pub(crate) trait Server {
    /// The sink's name.
    const SINK: &'static str;

    /// The gateway's section for it, with more keys.
    fn section(&self, more: &str) -> String;

    /// Every document, each device's in order, read by the server's own means.
    fn documents(&self) -> Vec<String>;
}

/// Time for whatever must happen sooner or later.
const LONG: Duration = Duration::from_secs(240);
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

impl<S: Server> World<S> {
    /// `more`: keys of the sink's section.
    pub(crate) fn new(server: S, has_archive: bool, more: &str) -> Self {
        Self::behind(server, has_archive, more, None)
    }

    /// The same behind another broker than the gateway's own.
    pub(crate) fn behind(server: S, has_archive: bool, more: &str, broker: Option<SocketAddr>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let programs = programs();
        let settings =
            GatewaySettings { more: server.section(more), has_archive, broker, ..GatewaySettings::default() };
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

    /// What a server holds as the one file of an archive, for those who compare archives.
    fn read<T: Server>(&self, server: &T) -> PathBuf {
        let folder = self.folder.path().join("read").join(T::SINK);
        let day = folder.join("2026-11-26");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&day).unwrap();
        let mut text = server.documents().join("\n");
        text.push('\n');
        fs::write(day.join("000001.ndjson"), text).unwrap();
        folder
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
    pub(crate) fn assert_exact<T: Server>(&self, server: &T, journal: &Journal) -> Comparison {
        let found = compare(&self.read(server), &[(DEVICE, journal)]).unwrap();
        assert!(found.is_exact(), "{}: {found:#?}", T::SINK);
        let mut command = self.shore.program();
        command.args(["audit", "--sink", T::SINK, "--config"]).arg(self.shore.config());
        let output = run(command).unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        found
    }

    /// Another gateway over the same server, which runs already.
    #[cfg(feature = "kafka")]
    pub(crate) fn second(&self, more: &str) -> Shore {
        let settings = GatewaySettings {
            more: self.server.section(more),
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

/// Starts a server. It ends with the thread that started it, so that one stays.
pub(crate) fn start(name: &'static str, command: Command, log: &Path) -> Process {
    let log = log.to_owned();
    let (send, started) = mpsc::channel();
    std::thread::spawn(move || {
        let _ = send.send(Process::start(name, command, &log));
        std::thread::park();
    });
    started.recv().unwrap().unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn programs() -> Programs {
    Programs::in_one(Path::new(env!("CARGO_BIN_EXE_driftlog")))
}
