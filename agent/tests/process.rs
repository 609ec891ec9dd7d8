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
    for command in ["init", "run", "check", "status", "--version"] {
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
                    hint: driftlog-agent init writes one for this machine\n";
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

#[test]
fn init_writes_what_check_accepts_and_never_over_another_file_unforced() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("etc/driftlog/agent.toml");
    let name = file.to_str().unwrap();
    let output = agent(&["init", "--config", name]).output().unwrap();
    ends(&output, 0, "");
    let said = text(&output.stdout);
    assert!(said.starts_with(&format!("wrote    {name}\ndevice   ")), "{said}");
    assert!(said.contains(&format!("\n  2. driftlog-agent check --online --config {name}\n")), "{said}");
    ends(&agent(&["check", "--config", name]).output().unwrap(), 0, "");
    let written = std::fs::read_to_string(&file).unwrap();
    for line in ["[broker]", "url = \"mqtt://broker.invalid:1883\"", "#keep_alive_s = 30", "[[source]]"] {
        assert!(written.lines().any(|of| of == line), "{line} is not in\n{written}");
    }
    std::fs::write(&file, "mine").unwrap();
    let output = agent(&["init", "--config", name]).output().unwrap();
    let expected = format!(
        "error: {name} is there already and is left as it is\n\
         hint: --force writes another in its place and keeps it as {name}.old; --config FILE writes elsewhere\n"
    );
    ends(&output, 1, &expected);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    ends(&agent(&["init", "--force", "--config", name]).output().unwrap(), 0, "");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), written);
    assert_eq!(std::fs::read_to_string(format!("{name}.old")).unwrap(), "mine");
}

/// What `check --online` says, broker and all, and its exit code.
fn online(file: &Path) -> (Option<i32>, String) {
    let output = agent(&["check", "--online", "--config", file.to_str().unwrap()]).output().unwrap();
    assert_eq!(text(&output.stderr), "");
    (output.status.code(), text(&output.stdout))
}

#[track_caller]
fn says(said: &str, line: &str) {
    assert!(said.lines().any(|of| of == line), "{line}\nis not said in\n{said}");
}

#[test]
fn check_online_says_of_clock_sources_and_spool_what_is_wrong_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let (file, state) = configure(dir.path());
    let (code, said) = online(&file);
    assert_eq!(code, Some(1), "nobody listens at the broker: {said}");
    says(&said, &format!("sources  note   there is nothing yet at {}/*.log", dir.path().display()));
    says(&said, "hint: it is read as soon as it is there; is the path right?");
    assert!(!state.exists(), "nothing is made");

    std::fs::write(dir.path().join("a.log"), "one\n").unwrap();
    let clock = dir.path().join("clock");
    std::fs::write(&clock, "wall_offset_ms=-1700000000000\n").unwrap();
    let configured = std::fs::read_to_string(&file).unwrap();
    let more =
        format!("[trial]\nclock_file = \"{}\"\n[spool]\nbulk.bytes_max = 1099511627776\n", clock.display());
    std::fs::write(&file, configured.clone() + &more).unwrap();
    let (_, said) = online(&file);
    assert!(said.contains("\nclock    note   it was never set and shows 197"), "{said}");
    says(&said, "sources  ok     1 file can be read");
    assert!(said.contains("\nspool    wrong  0 B of 1,024 GiB are used in "), "{said}");
    assert!(
        said.contains("\nhint: make room, or lower bytes_max in [spool.bulk] and [spool.urgent] to "),
        "{said}"
    );

    // In the place of the state directory there is a file.
    std::fs::write(&file, configured.replace("/state\"", "/clock/state\"")).unwrap();
    let (code, said) = online(&file);
    assert_eq!(code, Some(1));
    says(&said, &format!("spool    wrong  {} cannot be written: it is not a directory", clock.display()));
}

#[test]
fn check_online_beside_a_running_agent_leaves_its_spool_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (file, _) = configure(dir.path());
    let running = Running::start(&file);
    let (_, said) = online(&file);
    says(&said, &format!("spool    ok     in use by the agent that runs, process {}", running.0.id()));
    let output = agent(&["status", "--config", file.to_str().unwrap()]).output().unwrap();
    ends(&output, 0, "");
}
