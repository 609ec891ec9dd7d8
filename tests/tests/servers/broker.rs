//! A Kafka, and what is in it: read by kcat, not by the gateway's code.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use driftlog_tests::clock;
use driftlog_tests::ports;
use driftlog_tests::process::{Process, last_lines, run};

use crate::world::{Server, start};

/// Time for a server to answer, the first time with its installation.
const READY: Duration = Duration::from_secs(300);
/// The topic of the records.
const TOPIC: &str = "driftlog.records";

/// One broker.
pub(crate) struct Kafka {
    folder: tempfile::TempDir,
    port: u16,
    is_secure: bool,
    process: Option<Process>,
}

impl Kafka {
    /// A broker that answers.
    pub(crate) fn start() -> Self {
        Self::new(false)
    }

    /// One that wants TLS, and of each user a password and permissions.
    pub(crate) fn start_secure() -> Self {
        Self::new(true)
    }

    fn new(is_secure: bool) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), ports::free().unwrap());
        let mut kafka = Self { folder, port, is_secure, process: None };
        let install = script("install");
        if Command::new("kcat").arg("-V").output().is_err() {
            assert!(run(with(install, &["kcat"])).unwrap().status.success(), "kcat cannot be installed");
        }
        kafka.begin();
        kafka
    }

    pub(crate) fn begin(&mut self) {
        let mut command = script("kafka");
        command.arg(self.folder.path()).arg(self.port.to_string()).env("AUTO_CREATE", "false");
        if self.is_secure {
            command.arg("secure");
        }
        let mut process = start("Kafka", command, &self.folder.path().join("said"));
        let mut is_ready = false;
        clock::wait_until(READY, || {
            is_ready = self.kcat(&["-L", "-m", "2"]).status.success();
            is_ready || process.ended().is_some()
        });
        assert!(is_ready, "it does not answer:\n{}", self.said());
        self.process = Some(process);
    }

    fn said(&self) -> String {
        last_lines(&self.folder.path().join("said"), 20).join("\n")
    }

    /// The keys by which the gateway says who it is, with this password.
    pub(crate) fn user(&self, password: &str) -> String {
        let folder = self.folder.path();
        let file = folder.join(format!("password-{password}"));
        std::fs::write(&file, password).unwrap();
        format!(
            "tls = true\nca_file = \"{}\"\nsasl = \"scram-sha-512\"\nusername = \"driftlog\"\npassword_file = \"{}\"\n",
            folder.join("ca.pem").display(),
            file.display()
        )
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        self.process.as_mut().unwrap()
    }

    /// For its administrator, without users and TLS.
    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port + 2)
    }

    pub(crate) fn kcat(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = Command::new("kcat");
        command.arg("-b").arg(self.address()).args(arguments);
        run(command).unwrap()
    }

    /// What is committed in a topic, each partition in order; `form` is kcat's.
    pub(crate) fn committed(&self, topic: &str, form: &str) -> Vec<String> {
        let read = ["-C", "-t", topic, "-o", "beginning", "-e", "-q", "-X", "isolation.level=read_committed"];
        let output = self.kcat(&[&read[..], &["-f", form]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    /// Runs one of Kafka's own tools.
    pub(crate) fn tool(&self, class: &str, arguments: &[&str]) {
        let libs = script_folder().join("cache/kafka/*");
        let mut command = Command::new("java");
        command.arg("-cp").arg(libs).arg(class).args(["--bootstrap-server", &self.address()]).args(arguments);
        let output = run(command).unwrap();
        assert!(output.status.success(), "{class}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Server for Kafka {
    const SINK: &'static str = "kafka";

    fn section(&self, more: &str) -> String {
        let user = match self.is_secure {
            true => self.user("driftlog-secret"),
            false => String::new(),
        };
        format!(
            "[kafka]\nbrokers = [\"127.0.0.1:{}\"]\ntransaction_timeout_ms = 10000\n{user}{more}\n",
            self.port
        )
    }

    fn documents(&self) -> Vec<String> {
        self.committed(TOPIC, "%s\n")
    }
}

fn script_folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("servers")
}

fn script(name: &str) -> Command {
    Command::new(script_folder().join(name))
}

fn with(mut command: Command, arguments: &[&str]) -> Command {
    command.args(arguments);
    command
}
