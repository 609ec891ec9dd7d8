//! The agent as a process: what it prints, how it ends.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

fn agent(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_driftlog-agent"));
    command.args(args).env_remove("JOURNAL_STREAM");
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[track_caller]
fn ends(output: &Output, code: i32, stderr: &str) {
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(code), stderr));
}

/// A configuration that is valid, with a broker where nobody listens.
fn configure(dir: &Path) -> (PathBuf, PathBuf) {
    let (file, state) = (dir.join("agent.toml"), dir.join("state"));
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!(
        "device_id = \"pump-7\"\nstate_dir = \"{}\"\n[broker]\nurl = \"mqtt://127.0.0.1:{port}\"\n[[source]]\ntype = \"file\"\npaths = [\"{}/*.log\"]\n",
        state.display(),
        dir.display()
    );
    std::fs::write(&file, config).unwrap();
    (file, state)
}

/// A running agent; killed when the test is over.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Starts it and waits until it says that it runs.
    fn start(file: &Path) -> Self {
        let mut command = agent(&["run", "--config", file.to_str().unwrap()]);
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let said = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("device pump-7")));
        assert!(said.is_some(), "it ended without a word");
        // Somebody must go on reading, or it would wait for room in the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self(child)
    }

    fn signal(&self, signal: Signal) {
        let process = Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap();
        kill_process(process, signal).unwrap();
    }
}

#[test]
fn version_and_help_are_said_on_standard_output() {
    let output = agent(&["--version"]).output().unwrap();
    assert_eq!(text(&output.stdout), format!("driftlog-agent {}\n", env!("CARGO_PKG_VERSION")));
    ends(&output, 0, "");
    let output = agent(&["--help"]).output().unwrap();
    for command in ["run", "check", "status", "--version"] {
        assert!(text(&output.stdout).contains(&format!("driftlog-agent {command}")), "{command}");
    }
    ends(&output, 0, "");
}

#[test]
fn what_cannot_be_understood_ends_with_2_and_says_what_to_do() {
    let help = "driftlog-agent --help shows every command";
    for (args, what, hint) in [
        (&[][..], "there is no command", help),
        (&["rum"], "unknown command rum", "did you mean run?"),
        (&["frobnicate"], "unknown command frobnicate", help),
        (&["run", "--confg", "x"], "unknown option --confg", "did you mean --config?"),
        (&["run", "--config"], "missing argument for option '--config'", help),
        (&["run", "-x"], "unknown option -x", help),
        (&["run", "agent.toml"], "`run` takes no \"agent.toml\"", help),
        (&["check", "--json"], "`check` takes no --json", help),
    ] {
        let output = agent(args).output().unwrap();
        ends(&output, 2, &format!("error: {what}\nhint: {hint}\n"));
    }
}

#[test]
fn check_validates_and_touches_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (file, state) = configure(dir.path());
    let output = agent(&["check", "--config", file.to_str().unwrap()]).output().unwrap();
    ends(&output, 0, "");
    let said = text(&output.stdout);
    assert!(said.starts_with("the configuration is valid\ndevice   pump-7\n"), "{said}");
    assert!(!state.exists());
    std::fs::write(&file, "[broker]\n").unwrap();
    for command in ["check", "run", "status"] {
        let output = agent(&[command, "--config", file.to_str().unwrap()]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains(": [broker] has no `url`\nhint: "), "{}", text(&output.stderr));
    }
    assert!(!state.exists());
    let output = agent(&["check", "--config", "/nowhere/agent.toml"]).output().unwrap();
    let expected = "error: /nowhere/agent.toml: cannot read the configuration: No such file or directory (os error 2)\n\
                    hint: driftlog-agent.example.toml shows every key\n";
    ends(&output, 2, expected);
}

#[test]
fn a_running_agent_tells_its_status_and_ends_with_0_when_asked_to() {
    for signal in [Signal::TERM, Signal::INT] {
        let dir = tempfile::tempdir().unwrap();
        let (file, _) = configure(dir.path());
        std::fs::write(dir.path().join("a.log"), "one\ntwo\n").unwrap();
        let mut running = Running::start(&file);
        let status = |more: &[&str]| {
            agent(&[&["status", "--config", file.to_str().unwrap()], more].concat()).output().unwrap()
        };
        let output = status(&[]);
        ends(&output, 0, "");
        let words = text(&output.stdout);
        assert!(words.starts_with("pump-7: driftlog-agent "), "{words}");
        assert!(words.contains("\nbulk "), "{words}");
        let json: serde_json::Value = serde_json::from_slice(&status(&["--json"]).stdout).unwrap();
        assert_eq!((&json["device_id"], &json["link"]["is_up"]), (&"pump-7".into(), &false.into()));
        running.signal(signal);
        assert_eq!(running.0.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn a_second_agent_on_the_same_directory_ends_with_1_and_names_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let (file, state) = configure(dir.path());
    let first = Running::start(&file);
    let output = agent(&["run", "--config", file.to_str().unwrap()]).output().unwrap();
    let expected = format!(
        "error: another driftlog-agent (process {}) uses {}\nhint: stop it, or give this one a state_dir of its own\n",
        first.0.id(),
        state.display()
    );
    ends(&output, 1, &expected);
    first.signal(Signal::KILL);
    drop(first);
    drop(Running::start(&file));
}
