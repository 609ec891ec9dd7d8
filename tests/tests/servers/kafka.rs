//! Kafka: kills in mid-transaction, a broker that dies or falls silent, two gateways, messages too large.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::time::Duration;

use driftlog_tests::clock::wait_until;
use driftlog_tests::corpus::Random;
use driftlog_tests::ports;
use driftlog_tests::process::{Process, last_lines, run};

use crate::world::{World, kafka, number, programs};
use driftlog_tests::servers::{Kafka, Sink as _, Wants};

const LONG: Duration = Duration::from_secs(120);
/// After so long Kafka gives a transaction up.
const SHORT: &str = "transaction_timeout_ms = 10000";

fn pause(random: &mut Random, most_ms: u64) {
    std::thread::sleep(Duration::from_millis(random.between(20, most_ms)));
}

/// What the headers say is what the documents say, and one device has one partition.
fn assert_headers(kafka: &Kafka) {
    let mut partitions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut seen = 0;
    for line in kafka.committed("driftlog.records", "%k\t%p\t%h\t%s\n").unwrap() {
        let parts: Vec<&str> = line.splitn(4, '\t').collect();
        let [key, partition, headers, document] = parts[..] else { panic!("{line}") };
        partitions.entry(key.to_owned()).or_default().insert(partition.to_owned());
        let document: serde_json::Value = serde_json::from_str(document).unwrap();
        let own = &document["driftlog"];
        let expected = format!(
            "device={},lane={},run={},sequence={},kind={}",
            document["host"]["id"].as_str().unwrap(),
            own["lane"].as_str().unwrap(),
            own["run"].as_str().unwrap(),
            document["event"]["sequence"],
            own["kind"].as_str().unwrap()
        );
        assert_eq!(headers, expected);
        seen += 1;
    }
    assert!(seen > 0 && partitions.values().all(|all| all.len() == 1), "{partitions:?}");
}

#[test]
#[ignore = "needs kafka and kcat"]
fn a_gateway_killed_in_mid_transaction_neither_loses_nor_doubles_a_record() {
    let mut world = World::new(kafka, true, SHORT);
    let writer = world.writer(3_000);
    let mut random = Random::new(number("DRIFTLOG_SEED", 1));
    for _ in 0..number("DRIFTLOG_ROUNDS", 20) {
        pause(&mut random, 900);
        world.shore.kill();
        world.shore.start().unwrap();
        world.shore.wait_ready().unwrap();
    }
    world.finish(&writer.stop().unwrap());
    assert_headers(&world.server);
}

#[test]
#[ignore = "needs kafka and kcat"]
fn a_broker_that_dies_or_falls_silent_holds_up_and_loses_nothing() {
    let mut world = World::new(kafka, false, SHORT);
    world.shore.wait_ready().unwrap();
    let writer = world.writer(1_000);
    let mut random = Random::new(number("DRIFTLOG_SEED", 1));
    for _ in 0..3 {
        pause(&mut random, 2_000);
        world.server.server().kill();
        pause(&mut random, 3_000);
        world.server.start_again().unwrap();
    }
    std::thread::sleep(Duration::from_secs(3));
    // Longer than a transaction may take: Kafka gives it up, and with it the producer.
    world.server.server().pause();
    std::thread::sleep(Duration::from_secs(25));
    world.server.server().resume();
    std::thread::sleep(Duration::from_secs(3));
    world.finish(&writer.stop().unwrap());
}

/// An MQTT broker of its own, which outlives the gateways.
fn broker(folder: &std::path::Path) -> (std::net::SocketAddr, Process) {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], ports::free().unwrap()));
    let mut command = programs().broker();
    command.arg(address.to_string());
    let process = Process::start("the MQTT broker", command, &folder.join("mqtt")).unwrap();
    assert!(wait_until(LONG, || std::net::TcpStream::connect(address).is_ok()));
    (address, process)
}

#[test]
#[ignore = "needs kafka and kcat"]
fn the_later_of_two_gateways_goes_on_and_the_earlier_one_ends_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (address, _broker) = broker(folder.path());
    let mut world = World::behind(kafka, false, SHORT, Some(address));
    let writer = world.writer(500);
    world.shore.wait_ready().unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let mut second = world.second(SHORT);
    let mut code = None;
    let has_ended = wait_until(LONG, || {
        code = world.shore.gateway().and_then(Process::ended).and_then(|status| status.code());
        code.is_some()
    });
    let said = last_lines(&world.shore.log(), 5).join("\n");
    assert!(
        has_ended && code == Some(3) && said.contains("another gateway has taken over"),
        "{code:?} {said}"
    );
    std::thread::sleep(Duration::from_secs(2));
    world.finish(&writer.stop().unwrap());
    second.check().unwrap();
}

#[test]
#[ignore = "needs kafka and kcat"]
fn a_message_that_is_too_large_becomes_a_dead_letter_and_a_topic_that_is_deleted_is_made_again() {
    let mut world = World::new(kafka, false, &format!("{SHORT}\nmessage_bytes_max = 65536"));
    world.shore.wait_ready().unwrap();
    let mut file = std::fs::File::create(world.device.logs().join("app.log")).unwrap();
    for line in 0..1_000 {
        writeln!(file, "line {line}").unwrap();
        if line == 500 {
            // Each quotation mark is escaped.
            writeln!(file, "{}", "\"".repeat(50_000)).unwrap();
        }
    }
    let of_kind = |kafka: &Kafka, kind: &str| -> Vec<String> {
        let named = format!("\"kind\":\"{kind}\"");
        kafka.documents().unwrap().into_iter().filter(|document| document.contains(&named)).collect()
    };
    let mut count = 0;
    let is_there = wait_until(LONG, || {
        std::thread::sleep(Duration::from_millis(500));
        count = of_kind(&world.server, "record").len();
        count >= 1_000 && !of_kind(&world.server, "deadletter").is_empty()
    });
    assert!(is_there, "{count} records\n{}", last_lines(&world.shore.log(), 20).join("\n"));
    let letters = of_kind(&world.server, "deadletter");
    assert_eq!(letters.len(), 1);
    let letter: serde_json::Value = serde_json::from_str(&letters[0]).unwrap();
    assert_eq!(letter["event"]["sequence"], 501);
    assert!(letter["driftlog"]["deadletter"]["reason"].as_str().unwrap().contains("the topic takes"));

    world
        .server
        .tool("org.apache.kafka.tools.TopicCommand", &["--delete", "--topic", "driftlog.records"])
        .unwrap();
    writeln!(file, "after the topic").unwrap();
    let is_there = wait_until(LONG, || {
        std::thread::sleep(Duration::from_millis(500));
        world.server.kcat(&["-L", "-t", "driftlog.records"]).unwrap().status.success()
            && of_kind(&world.server, "record").iter().any(|one| one.contains("after the topic"))
    });
    assert!(is_there, "{}", last_lines(&world.shore.log(), 20).join("\n"));
    world.shore.check().unwrap();
}

#[test]
#[ignore = "needs kafka and kcat"]
fn a_lost_ledger_is_made_from_the_topic_of_records_and_nothing_comes_twice() {
    let mut world = World::new(kafka, false, SHORT);
    world.shore.wait_ready().unwrap();
    let writer = world.writer(500);
    std::thread::sleep(Duration::from_secs(4));
    world.shore.kill();
    let topic = ["--delete", "--topic", "driftlog.ledger"];
    world.server.tool("org.apache.kafka.tools.TopicCommand", &topic).unwrap();
    // Without it nobody guesses.
    world.shore.start().unwrap();
    let refused = world.shore.wait_ready().unwrap_err().to_string();
    assert!(refused.contains("is it lost?") && refused.contains("rebuild"), "{refused}");
    world.shore.kill();
    let rebuild = |expected: bool| {
        let mut command = world.shore.program();
        command.arg("rebuild").arg("--config").arg(world.shore.config());
        let output = run(command).unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.success(), expected, "{said}");
        said
    };
    // The bulk lane, and the urgent one.
    let said = rebuild(true);
    assert!(said.contains("the new ledger has 2 runs in 2 lanes"), "{said}");
    assert!(rebuild(false).contains("there is a ledger"));
    world.shore.start().unwrap();
    world.shore.wait_ready().unwrap();
    std::thread::sleep(Duration::from_secs(2));
    world.finish(&writer.stop().unwrap());
}

/// What `check --online` and `setup` say to a gateway with these keys; whether they are content.
fn ask(folder: &std::path::Path, command: &[&str], section: &str) -> (bool, String) {
    let config = folder.join("gateway.toml");
    let data = folder.join("data");
    let archive = "[archive]\nenabled = false\n";
    std::fs::write(&config, format!("data_dir = {data:?}\n{archive}{section}")).unwrap();
    let mut gateway = programs().gateway();
    gateway.args(command).arg("--config").arg(config);
    let output = run(gateway).unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
#[ignore = "needs kafka and kcat"]
fn over_tls_with_scram_and_no_more_than_the_manual_s_permissions_it_delivers() {
    let folder = tempfile::tempdir().unwrap();
    let wants = Wants { is_secure: true, ..Wants::default() };
    let kafka = Kafka::start(&folder.path().join("kafka"), wants).unwrap();
    let (section, right) = (kafka.section(SHORT).unwrap(), kafka.right_user().unwrap());
    let wrong = section.replace(&right, &kafka.user("guessed").unwrap());
    let (is_content, said) = ask(folder.path(), &["check", "--online"], &wrong);
    assert!(!is_content && said.contains("uthentication") && said.contains("kafka.password_file"), "{said}");
    let plain = section.replace(&right, "");
    let (is_content, said) = ask(folder.path(), &["check", "--online"], &plain);
    assert!(!is_content && said.contains("kafka.tls"), "{said}");
    let stranger: String = section
        .lines()
        .filter(|line| !line.starts_with("ca_file"))
        .fold(String::new(), |all, line| all + line + "\n");
    let (is_content, said) = ask(folder.path(), &["check", "--online"], &stranger);
    assert!(!is_content && said.contains("kafka.ca_file"), "{said}");
    let (is_content, said) = ask(folder.path(), &["setup"], &section);
    assert!(!is_content && said.contains("docs/kafka.md lists what the user must be allowed"), "{said}");

    let allow = |operations: &[&str], on: &[&str]| {
        let mut arguments = vec!["--add", "--allow-principal", "User:driftlog"];
        operations.iter().for_each(|operation| arguments.extend(["--operation", operation]));
        arguments.extend(on);
        kafka.tool("org.apache.kafka.tools.AclCommand", &arguments).unwrap();
    };
    for topic in ["driftlog.records", "driftlog.ledger"] {
        allow(&["Write", "Read", "Describe", "Create", "DescribeConfigs"], &["--topic", topic]);
    }
    allow(&["Write", "Describe"], &["--transactional-id", "driftlog.ledger-0"]);
    let (is_content, said) = ask(folder.path(), &["setup"], &section);
    assert!(is_content && said.contains("the topic driftlog.records was made"), "{said}");
    let (is_content, said) = ask(folder.path(), &["check", "--online"], &section);
    assert!(is_content && !said.contains("were not checked"), "{said}");
    let mut world = World::new(|_| Ok(kafka), false, SHORT);
    world.shore.wait_ready().unwrap();
    let writer = world.writer(500);
    std::thread::sleep(Duration::from_secs(2));
    world.shore.kill();
    world.shore.start().unwrap();
    world.shore.wait_ready().unwrap();
    world.finish(&writer.stop().unwrap());
}
