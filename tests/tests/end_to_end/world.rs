//! What every suite starts from: a shore, devices, and the questions asked at the end.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use driftlog_tests::clock;
use driftlog_tests::compare::{Comparison, compare};
use driftlog_tests::corpus::{Corpus, Feed, Style};
use driftlog_tests::device::{AgentSettings, Device};
use driftlog_tests::process::{Programs, last_lines};
use driftlog_tests::shore::{Audit, GatewaySettings, Shore};
use driftlog_tests::writer::{Journal, Writer, WriterConfig};

/// Time for whatever must happen sooner or later.
pub(crate) const LONG: Duration = Duration::from_secs(120);

/// How often to kill.
pub(crate) fn rounds() -> u64 {
    number("DRIFTLOG_ROUNDS", 20)
}

/// When to kill.
pub(crate) fn seed() -> u64 {
    number("DRIFTLOG_SEED", 1)
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// A folder for one test with a shore in it.
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) shore: Shore,
}

impl World {
    /// A shore that is ready.
    pub(crate) fn new() -> Self {
        let mut world = Self::with(&GatewaySettings::default());
        world.start_gateway();
        world
    }

    /// A shore that is not started yet.
    pub(crate) fn with(settings: &GatewaySettings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let shore = Shore::new(&programs(), &folder.path().join("gateway"), settings).unwrap();
        Self { folder, shore }
    }

    pub(crate) fn start_gateway(&mut self) {
        self.shore.start().unwrap();
        self.shore.wait_ready().unwrap_or_else(|error| panic!("{error}"));
    }

    /// A device that is not started yet.
    pub(crate) fn device(&self, name: &str, settings: &AgentSettings) -> Device {
        self.device_in(name, name, settings)
    }

    /// The same in a folder of another name.
    pub(crate) fn device_in(&self, folder: &str, name: &str, settings: &AgentSettings) -> Device {
        let folder = self.folder.path().join(folder);
        Device::new(&programs(), name, &folder, self.shore.broker(), settings).unwrap()
    }

    /// A writer of two files that are rotated again and again.
    pub(crate) fn writer(&self, device: &Device, lines_per_second: u64, seed: u64) -> Writer {
        let feed =
            |style: Style| (style.file_name().to_owned(), Feed::Generated(Corpus::new(style, seed, true)));
        let config = WriterConfig {
            logs: device.logs(),
            journal: self.folder.path().join(format!("journal of {}", device.name())),
            files: vec![feed(Style::Syslog), feed(Style::Json)],
            lines_per_second,
            rotate_bytes: 400_000,
            seed,
        };
        Writer::start(config).unwrap()
    }

    /// What the archive has of these devices, as it stands.
    pub(crate) fn compare(&self, journals: &[(&str, &Journal)]) -> Comparison {
        compare(&self.shore.archive(), journals).unwrap()
    }

    /// Waits until as many lines have arrived as were written.
    pub(crate) fn wait_arrived(&mut self, journals: &[(&str, &Journal)], devices: &mut [&mut Device]) {
        let mut last = Comparison::default();
        let has_arrived = clock::wait_until(LONG, || {
            // A file may be compressed, and so be gone, between looking and reading.
            let Ok(now) = compare(&self.shore.archive(), journals) else { return false };
            last = now;
            let total = last.total();
            std::thread::sleep(Duration::from_millis(100));
            total.lost == 0 && total.lines_out >= total.lines_in
        });
        if !has_arrived {
            let logs = devices.iter().map(|device| device.log()).chain([self.shore.log()]);
            let said: Vec<_> = logs.map(|log| last_lines(&log, 12).join("\n")).collect();
            let status: Vec<_> = devices.iter().map(|device| device.status()).collect();
            panic!("not everything has arrived: {last:#?}\n{status:#?}\n{}", said.join("\n--\n"));
        }
    }

    /// Waits for everything, stops everything, and checks that all is there once, in order, at
    /// times that can be, and that nothing which a device was told is safe is missing.
    pub(crate) fn finish(mut self, devices: Vec<(Device, Journal)>) {
        let (mut devices, journals): (Vec<Device>, Vec<Journal>) = devices.into_iter().unzip();
        let names: Vec<String> = devices.iter().map(|device| device.name().to_owned()).collect();
        let journals: Vec<(&str, &Journal)> = names.iter().map(String::as_str).zip(&journals).collect();
        self.wait_arrived(&journals, &mut devices.iter_mut().collect::<Vec<_>>());
        let mut spools = Vec::new();
        for device in &mut devices {
            device.stop().unwrap_or_else(|error| panic!("{error}"));
            let file = self.folder.path().join(format!("{}.json", device.name()));
            fs::write(&file, device.inspect().unwrap()).unwrap();
            spools.push(file);
        }
        self.shore.stop().unwrap_or_else(|error| panic!("{error}"));
        let comparison = self.compare(&journals);
        assert!(comparison.is_exact() && comparison.is_in_time(), "{comparison:#?}");
        assert_eq!(comparison.total().declared, 0);
        let audit = self.shore.audit(&spools).unwrap();
        assert!(audit.is_kept, "{}", audit.report);
    }

    /// The audit of the archive as it stands.
    pub(crate) fn audit(&self) -> Audit {
        self.shore.audit(&[]).unwrap()
    }
}

/// The binary that all processes are, unless `DRIFTLOG_AGENT` names another agent.
pub(crate) fn programs() -> Programs {
    let programs = Programs::in_one(Path::new(env!("CARGO_BIN_EXE_driftlog")));
    match std::env::var("DRIFTLOG_AGENT") {
        Ok(words) => programs.with_agent_command(&words),
        Err(_) => programs,
    }
}

/// Appends numbered lines to a file, which need not be there yet.
pub(crate) fn append(path: &Path, lines: std::ops::Range<u64>, word: &str) -> PathBuf {
    let mut text = String::new();
    for line in lines {
        text.push_str(&format!("line {line} of {word}, which is there once\n"));
    }
    let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    path.to_owned()
}
