//! A search server behind TLS and a password, and one that is not there while nobody has to wait for it.

use std::io;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use driftlog_tests::clock::wait_until;
use driftlog_tests::compare::compare;
use driftlog_tests::process::{last_lines, run};
use driftlog_tests::servers::{Nginx, Search, Sink};

use crate::world::{DEVICE, World, drain, programs, search};

const LONG: Duration = Duration::from_secs(120);

/// A search server that is reached through nginx alone.
struct Guarded {
    search: Search,
    nginx: Nginx,
}

impl Guarded {
    fn start(folder: &Path) -> io::Result<Self> {
        let mut search = search(&folder.join("search"))?;
        let nginx = Nginx::start(&folder.join("nginx"), search.server().address())?;
        Ok(Self { search, nginx })
    }

    /// The gateway's section with these keys for who it is and whom it trusts.
    fn with(&self, user: &str, trust: &str) -> String {
        format!("[search]\nurls = [\"{}\"]\nalias = \"edge\"\n{user}{trust}", self.nginx.url())
    }
}

impl Sink for Guarded {
    fn name(&self) -> &'static str {
        self.search.name()
    }

    fn section(&self, more: &str) -> io::Result<String> {
        Ok(self.with(&self.nginx.right_user()?, &self.nginx.trust()) + more + "\n")
    }

    fn documents(&self) -> io::Result<Vec<String>> {
        self.search.documents()
    }
}

/// What `check --online` says to a gateway with this section; whether it is content.
fn check(folder: &Path, section: &str) -> (bool, String) {
    let config = folder.join("gateway.toml");
    std::fs::write(&config, format!("data_dir = {:?}\n{section}", folder.join("data"))).unwrap();
    let mut gateway = programs().gateway();
    gateway.args(["check", "--online", "--config"]).arg(config);
    let output = run(gateway).unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
#[ignore = "needs search and nginx"]
fn behind_tls_and_a_password_what_is_wrong_is_told_and_what_is_right_delivers_once() {
    let folder = tempfile::tempdir().unwrap();
    let guarded = Guarded::start(folder.path()).unwrap();
    let (right, trust) = (guarded.nginx.right_user().unwrap(), guarded.nginx.trust());
    let wrong = guarded.nginx.user("guessed").unwrap();
    for user in [wrong.as_str(), ""] {
        let (is_content, said) = check(folder.path(), &guarded.with(user, &trust));
        assert!(
            !is_content && said.contains("status 401") && said.contains("search.password_file"),
            "{said}"
        );
    }
    let (is_content, said) = check(folder.path(), &guarded.with(&right, ""));
    assert!(!is_content && said.contains("UnknownIssuer") && said.contains("search.ca_file"), "{said}");
    let plain = guarded.with(&right, &trust).replace("https://", "http://");
    let (is_content, said) = check(folder.path(), &plain);
    assert!(!is_content && said.contains("status 400"), "{said}");
    let (is_content, said) = check(folder.path(), &guarded.with(&right, &trust));
    assert!(is_content, "{said}");

    let mut world = World::new(|_| Ok(guarded), true, "");
    let writer = world.writer(1_000);
    std::thread::sleep(Duration::from_secs(2));
    world.shore.kill();
    // Whoever guesses is told so as a gateway that runs, too, and loses nothing by it.
    let config = std::fs::read_to_string(world.shore.config()).unwrap();
    std::fs::write(world.shore.config(), config.replace(&right, &wrong)).unwrap();
    world.shore.start().unwrap();
    let is_told = || std::fs::read_to_string(world.shore.log()).unwrap().contains("status 401");
    assert!(wait_until(LONG, is_told), "{}", last_lines(&world.shore.log(), 20).join("\n"));
    world.shore.kill();
    std::fs::write(world.shore.config(), config).unwrap();
    world.shore.start().unwrap();
    world.shore.wait_ready().unwrap();
    world.finish(&writer.stop().unwrap());
}

#[test]
#[ignore = "needs search"]
fn a_cluster_of_best_effort_that_is_down_holds_up_nobody_and_has_the_gap_declared_when_it_is_back() {
    let mut world = World::new(search, true, "required = false");
    world.shore.wait_ready().unwrap();
    world.server.server().kill();
    let writer = world.writer(2_000);
    std::thread::sleep(Duration::from_secs(5));
    let journal = writer.stop().unwrap();
    // Everything is acknowledged although the cluster has nothing.
    drain(&world.device, &world.shore, &journal);
    // What waited for it in memory is gone with the gateway, and the device has let go of it.
    world.shore.kill();
    world.shore.start().unwrap();
    world.server.start_again().unwrap();
    world.shore.wait_ready().unwrap();
    let mut file = std::fs::File::create(world.device.logs().join("more.log")).unwrap();
    let (mut missed, mut has_more) = (false, false);
    let is_declared = wait_until(LONG, || {
        writeln!(file, "one more").unwrap();
        std::thread::sleep(Duration::from_millis(500));
        let documents = world.server.documents().unwrap();
        missed = documents.iter().any(|document| {
            document.contains("\"cause\":\"missed\"") && document.contains("\"kind\":\"gap\"")
        });
        has_more = documents.iter().any(|document| document.contains("one more"));
        missed && has_more
    });
    assert!(
        is_declared,
        "missed: {missed}, more: {has_more}\n{}",
        last_lines(&world.shore.log(), 20).join("\n")
    );
    drop(file);
    world.device.stop().unwrap();
    world.shore.stop().unwrap();
    let mut command = world.shore.program();
    command.args(["audit", "--sink", "search", "--config"]).arg(world.shore.config());
    let output = run(command).unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.contains("declared gone: missed"), "{said}");
    let found = compare(&world.shore.archive(), &[(DEVICE, &journal)]).unwrap();
    let archived = &found.devices[DEVICE];
    assert_eq!((archived.lost, archived.doubled, archived.disordered), (0, 0, 0), "{found:#?}");
}
