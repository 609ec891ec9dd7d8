//! The program as people and service managers meet it.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

fn gateway(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_driftlog-gateway"));
    command.args(args).stdin(Stdio::null());
    command
}

fn output(args: &[&str]) -> Output {
    gateway(args).output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

struct Folder {
    folder: tempfile::TempDir,
    broker: SocketAddr,
    web: SocketAddr,
}

impl Folder {
    fn new() -> Self {
        // Both are held at once so that they differ.
        let free = [TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap()];
        let [broker, web] = free.each_ref().map(|listener| listener.local_addr().unwrap());
        Self { folder: tempfile::tempdir().unwrap(), broker, web }
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    fn config(&self, name: &str, data: &str) -> String {
        let path = self.folder.path().join(name);
        let text = format!(
            "data_dir = \"{data}\"\nbroker.listen = \"{}\"\nweb.listen = \"{}\"\n",
            self.broker, self.web
        );
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

/// A gateway that runs and has said that its broker is connected.
struct Running(Child);

impl Running {
    fn start(config: &str) -> Self {
        let mut child = gateway(&["run", "--config", config]).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = Vec::new();
        loop {
            let line = lines.next().unwrap_or_else(|| panic!("it ended after {said:#?}")).unwrap();
            let is_connected = line.contains("connected to the broker");
            said.push(line);
            if is_connected {
                break;
            }
        }
        // Somebody must read on, or the gateway would wait for them.
        std::thread::spawn(move || lines.for_each(drop));
        Self(child)
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn help_and_version_go_to_stdout() {
    let help = output(&["--help"]);
    assert!(help.status.success());
    assert!(stdout(&help).contains("usage: driftlog-gateway COMMAND"), "{help:?}");
    assert_eq!(stderr(&help), "");
    let version = output(&["--version"]);
    assert!(version.status.success());
    assert_eq!(stdout(&version), concat!("driftlog-gateway ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn wrong_usage_exits_with_2() {
    for args in [&[][..], &["fly"], &["run", "--fast"], &["check", "--json"]] {
        let wrong = output(args);
        assert_eq!(wrong.status.code(), Some(2), "{args:?}");
        assert!(stderr(&wrong).starts_with("driftlog-gateway: "), "{wrong:?}");
        assert!(stderr(&wrong).contains("\nhint: "), "{wrong:?}");
        assert_eq!(stdout(&wrong), "");
    }
}

#[test]
fn a_wrong_configuration_exits_with_2_and_touches_nothing() {
    let folder = Folder::new();
    let path = folder.config("gateway.toml", &folder.data());
    let text = std::fs::read_to_string(&path).unwrap() + "[web]\n";
    std::fs::write(&path, text.replace("web.listen", "web.lisen").replace("[web]\n", "")).unwrap();
    for command in ["run", "check", "status"] {
        let wrong = output(&[command, "--config", &path]);
        assert_eq!(wrong.status.code(), Some(2), "{command}");
        let expected = format!(
            "driftlog-gateway: {path}:3: unknown key `web.lisen`\nhint: did you mean `web.listen`?\n"
        );
        assert_eq!(stderr(&wrong), expected);
    }
    assert!(!Path::new(&folder.data()).exists());
}

#[test]
fn a_good_configuration_is_said_to_be_good_and_touches_nothing() {
    let folder = Folder::new();
    let path = folder.config("gateway.toml", &folder.data());
    let good = output(&["check", "--config", &path]);
    assert!(good.status.success(), "{good:?}");
    assert_eq!(stdout(&good), format!("{path}: good\n"));
    assert!(!Path::new(&folder.data()).exists());
    assert_eq!(stdout(&output(&["check"])), "the embedded defaults: good\n");
}

#[test]
fn a_gateway_that_is_told_to_stop_exits_with_0_and_frees_everything() {
    let folder = Folder::new();
    let config = folder.config("gateway.toml", &folder.data());
    for signal in [Signal::TERM, Signal::INT] {
        let mut running = Running::start(&config);
        running.signal(signal);
        assert_eq!(running.0.wait().unwrap().code(), Some(0), "{signal:?}");
    }
}

#[test]
fn after_a_kill_the_data_directory_and_the_ports_are_free() {
    let folder = Folder::new();
    let config = folder.config("gateway.toml", &folder.data());
    let mut running = Running::start(&config);
    running.0.kill().unwrap();
    running.0.wait().unwrap();
    drop(Running::start(&config));
}

#[test]
fn a_second_gateway_on_the_same_data_is_refused_with_1() {
    let folder = Folder::new();
    let running = Running::start(&folder.config("first.toml", &folder.data()));
    let other = Folder::new();
    let second = output(&["run", "--config", &other.config("second.toml", &folder.data())]);
    assert_eq!(second.status.code(), Some(1), "{second:?}");
    let expected = format!(
        "driftlog-gateway: another gateway (process {}) is using the data directory {}\nhint: stop it first, \
         or give this one its own `data_dir`\n",
        running.0.id(),
        folder.data()
    );
    assert!(stderr(&second).ends_with(&expected), "{second:?}");
}

#[test]
fn a_port_that_is_taken_is_refused_with_1() {
    let folder = Folder::new();
    let config = folder.config("gateway.toml", &folder.data());
    for (listen, message) in [
        (folder.broker, "the embedded broker cannot listen on "),
        (folder.web, "cannot serve the status page on "),
    ] {
        let _taken = TcpListener::bind(listen).unwrap();
        let refused = output(&["run", "--config", &config]);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(
            stderr(&refused).contains(&format!("{message}{listen}: Address already in use")),
            "{refused:?}"
        );
        assert!(stderr(&refused).contains("\nhint: another "), "{refused:?}");
    }
}

#[test]
fn status_shows_a_running_gateway_and_says_where_there_is_none() {
    let folder = Folder::new();
    let config = folder.config("gateway.toml", &folder.data());
    let none = output(&["status", "--config", &config]);
    assert_eq!(none.status.code(), Some(1));
    assert!(stderr(&none).contains("no gateway answers on "), "{none:?}");
    let _running = Running::start(&config);
    let table = output(&["status", "--config", &config]);
    assert!(table.status.success(), "{table:?}");
    let first = format!("; embedded broker {}: connected\n", folder.broker);
    assert!(stdout(&table).contains(&first), "{table:?}");
    assert!(stdout(&table).ends_with("no device has been heard of\n"), "{table:?}");
    let json = output(&["status", "--json", "--config", &config]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["broker"]["is_connected"], true);
}

#[test]
fn whoever_stops_reading_has_seen_enough() {
    let mut child = gateway(&["--help"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}
