//! The program as people and service managers meet it.
#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use driftlog_gateway::ledger::sled::SledLedger;
use driftlog_gateway::sink::archive::directory::OsDirectory;
use driftlog_gateway::sink::archive::state::ArchiveId;
use driftlog_gateway::sink::archive::{Archive, ArchiveConfig};
use driftlog_gateway::sink::{Batch, Entry, What, commit};
use driftlog_gateway::web::metrics;
use driftlog_proto::ids::{Chain, DeviceId, Lane, Place, RunId, Seq};
use driftlog_proto::item::Cause;
use driftlog_proto::time::Unix;
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

/// An archive in which `pump-7` began a run, lost three records and, if told to, three more
/// without saying so.
fn archive_with_one_run(data: &Path, is_broken: bool) {
    let mut ledger = SledLedger::open(&data.join("ledger")).unwrap();
    let directory = Box::new(OsDirectory::new(data.join("archive")));
    let config = ArchiveConfig::default();
    let mut archive = Archive::open(directory, config, &mut ledger, ArchiveId([7; 16])).unwrap();
    let entry = |seq, chain, what| Entry {
        device: DeviceId::new("pump-7").unwrap(),
        lane: Lane::Bulk,
        run: RunId(5),
        end: Place { run: RunId(5), seq: Seq(seq), chain: Chain(chain) },
        received: Unix(1_795_435_200_000_000_000),
        labels: std::sync::Arc::default(),
        index: 0,
        what,
    };
    let from = if is_broken { 3 } else { 0 };
    let gap = What::Gap { from: Seq(from), to: Seq(from + 3), cause: Cause::Overflow };
    let entries = vec![entry(0, 1, What::Start { parent: Place::ORIGIN }), entry(from + 3, 2, gap)];
    commit::commit(&mut archive, &mut ledger, &Batch { entries, ..Batch::default() }).unwrap();
}

#[test]
fn cat_shows_a_device_and_says_where_there_is_nothing_of_it() {
    let folder = Folder::new();
    let config = folder.config("gateway.toml", &folder.data());
    let none = output(&["cat", "pump-7", "--config", &config]);
    assert_eq!(none.status.code(), Some(1), "{none:?}");
    let expected = format!(
        "driftlog-gateway: there is no archive in {}/archive\nhint: `--config FILE` (its data_dir) or \
         `--archive DIR` tells where it is\n",
        folder.data()
    );
    assert_eq!(stderr(&none), expected);

    archive_with_one_run(Path::new(&folder.data()), false);
    let shown = output(&["cat", "pump-7", "--config", &config]);
    assert!(shown.status.success(), "{shown:?}");
    assert_eq!(stdout(&shown).lines().count(), 2, "{shown:?}");
    let archive = format!("{}/archive", folder.data());
    let json = output(&["cat", "pump-7", "--json", "--lane", "bulk", "--archive", &archive]);
    for line in stdout(&json).lines() {
        let document: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(document["host"]["id"], "pump-7");
    }
    let other = output(&["cat", "pump-8", "--archive", &archive]);
    assert_eq!(other.status.code(), Some(1));
    assert!(stderr(&other).contains("has nothing of pump-8\nhint: "), "{other:?}");
}

#[test]
fn an_audit_exits_with_0_where_the_promise_is_kept_and_with_1_where_it_is_broken() {
    for (is_broken, code, verdict) in [(false, 0, "promise kept"), (true, 1, "promise BROKEN")] {
        let folder = Folder::new();
        let config = folder.config("gateway.toml", &folder.data());
        archive_with_one_run(Path::new(&folder.data()), is_broken);
        let table = output(&["audit", "--config", &config]);
        assert_eq!(table.status.code(), Some(code), "{table:?}");
        assert!(stdout(&table).contains(verdict), "{table:?}");
        let json = output(&["audit", "--json", "--config", &config]);
        assert_eq!(json.status.code(), Some(code), "{json:?}");
        let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
        assert_eq!(json["is_broken"], is_broken);
    }
}

#[test]
fn an_audit_compares_what_a_spool_says_and_refuses_what_it_cannot_read() {
    let folder = Folder::new();
    let config = folder.config("gateway.toml", &folder.data());
    archive_with_one_run(Path::new(&folder.data()), false);
    let spool = folder.folder.path().join("spool.json");
    let path = spool.display().to_string();
    let place = |seq: u64| format!("{{\"run\":\"0000000000000005\",\"seq\":{seq},\"chain\":\"{:016x}\"}}", 0);
    let said = |base| {
        format!(
            "{{\"device_id\":\"pump-7\",\"lane\":\"bulk\",\"base\":{},\"next\":{},\"gaps\":[]}}\n",
            place(base),
            place(9)
        )
    };
    std::fs::write(&spool, said(3)).unwrap();
    let kept = output(&["audit", "--config", &config, "--spool", &path]);
    assert!(kept.status.success(), "{kept:?}");
    std::fs::write(&spool, said(7)).unwrap();
    let broken = output(&["audit", "--config", &config, "--spool", &path]);
    assert_eq!(broken.status.code(), Some(1), "{broken:?}");
    assert!(stdout(&broken).contains("4 acknowledged records are NOT in the archive"), "{broken:?}");
    std::fs::write(&spool, "no spool").unwrap();
    let unreadable = output(&["audit", "--config", &config, "--spool", &path]);
    assert_eq!(unreadable.status.code(), Some(1));
    assert!(stderr(&unreadable).starts_with(&format!("driftlog-gateway: {path}: ")), "{unreadable:?}");
}

#[test]
fn a_gateway_without_its_ledger_names_the_command_and_that_command_helps() {
    let folder = Folder::new();
    let data = folder.data();
    let config = folder.config("gateway.toml", &data);
    archive_with_one_run(Path::new(&data), false);
    let needless = output(&["rebuild", "--config", &config]);
    assert_eq!(needless.status.code(), Some(1), "{needless:?}");
    assert!(stderr(&needless).contains("there is a ledger already"), "{needless:?}");

    std::fs::remove_dir_all(Path::new(&data).join("ledger")).unwrap();
    let refused = output(&["run", "--config", &config]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(stderr(&refused).contains("`driftlog-gateway rebuild`"), "{refused:?}");
    let rebuilt = output(&["rebuild", "--config", &config]);
    assert!(rebuilt.status.success(), "{rebuilt:?}");
    assert!(stdout(&rebuilt).contains("1 runs in 1 lanes"), "{rebuilt:?}");
    let running = Running::start(&config);
    let meanwhile = output(&["rebuild", "--force", "--config", &config]);
    assert_eq!(meanwhile.status.code(), Some(1));
    assert!(stderr(&meanwhile).contains("another gateway (process "), "{meanwhile:?}");
    drop(running);
}

#[test]
fn a_running_gateway_exposes_exactly_the_documented_metrics() {
    let folder = Folder::new();
    let _running = Running::start(&folder.config("gateway.toml", &folder.data()));
    let mut stream = TcpStream::connect(folder.web).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let exposed: Vec<&str> = answer.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let documented = metrics::ALL.iter().copied().flatten();
    let documented: Vec<String> = documented.map(|doc| format!("{} {}", doc.name, doc.kind.name())).collect();
    assert_eq!(exposed, documented);
}

#[test]
fn whoever_stops_reading_has_seen_enough() {
    let mut child = gateway(&["--help"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}
