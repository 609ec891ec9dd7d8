//! Elasticsearch or OpenSearch: kills, floods, time-outs, poison, an index that is full.

use std::io::Write as _;
use std::time::Duration;

use driftlog_tests::corpus::Random;
use serde_json::json;

use crate::world::{World, number, search, search_with};
use driftlog_tests::servers::Sink as _;

fn pause(random: &mut Random) {
    std::thread::sleep(Duration::from_millis(random.between(50, 900)));
}

#[test]
#[ignore = "needs search"]
fn a_gateway_killed_in_mid_bulk_neither_loses_nor_doubles_a_document_though_indexes_roll_over() {
    let mut world = World::new(search, true, "index_bytes_max = 1048576\nrequest_bytes_max = 65536");
    let writer = world.writer(3_000);
    let mut random = Random::new(number("DRIFTLOG_SEED", 1));
    for round in 0..number("DRIFTLOG_ROUNDS", 20) {
        pause(&mut random);
        if round % 2 == 0 {
            world.shore.kill()
        } else {
            world.shore.kill_in_mid_commit()
        }
        world.shore.start().unwrap();
    }
    world.shore.wait_ready().unwrap();
    // Long enough for an index to be full, and for some of it to go to the next.
    std::thread::sleep(Duration::from_secs(25));
    world.finish(&writer.stop().unwrap());
    assert!(world.server.indexes() > 1, "{} index", world.server.indexes());

    // Those that are not to be kept any longer go, but for the newest.
    world.shore.kill();
    let config = std::fs::read_to_string(world.shore.config()).unwrap();
    let kept = "index_bytes_max = 1048576\nindex_kept_ms = 1000";
    std::fs::write(world.shore.config(), config.replace("index_bytes_max = 1048576", kept)).unwrap();
    world.shore.start().unwrap();
    let mut file = std::fs::File::create(world.device.logs().join("more.log")).unwrap();
    let is_alone = driftlog_tests::clock::wait_until(Duration::from_secs(60), || {
        writeln!(file, "one more").unwrap();
        std::thread::sleep(Duration::from_millis(500));
        let has_last = |documents: &[String]| documents.iter().any(|document| document.contains("one more"));
        world.server.indexes() == 1 && has_last(&world.server.documents().unwrap())
    });
    assert!(is_alone, "{}", driftlog_tests::process::last_lines(&world.shore.log(), 20).join("\n"));
}

#[test]
#[ignore = "needs search"]
fn a_cluster_that_dies_falls_silent_or_is_full_holds_up_and_loses_nothing() {
    let mut world = World::new(search, true, "timeout_ms = 1000");
    let writer = world.writer(1_000);
    std::thread::sleep(Duration::from_secs(2));
    // Its answers come too late: whatever it did it did.
    world.server.server().pause();
    std::thread::sleep(Duration::from_secs(4));
    world.server.server().resume();
    std::thread::sleep(Duration::from_secs(3));
    // Its disk is full: it makes its indexes read-only.
    let read_only = |is: serde_json::Value| json!({ "index.blocks.write": is });
    world.server.ask("PUT", "/edge-*/_settings", Some(read_only(json!(true)))).unwrap();
    std::thread::sleep(Duration::from_secs(4));
    world.server.ask("PUT", "/edge-*/_settings", Some(read_only(json!(false)))).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    world.server.server().kill();
    std::thread::sleep(Duration::from_secs(5));
    world.server.start_again().unwrap();
    world.finish(&writer.stop().unwrap());
}

#[test]
#[ignore = "needs search"]
fn a_cluster_that_lets_nobody_wait_gets_everything_all_the_same() {
    let more = "request_bytes_max = 65536\nin_flight = 16\ngzip = false";
    let mut world = World::new(|folder| search_with(folder, Some(1)), false, more);
    let writer = world.writer(8_000);
    std::thread::sleep(Duration::from_secs(10));
    world.finish(&writer.stop().unwrap());
}

#[test]
#[ignore = "needs search"]
fn a_document_that_is_rejected_becomes_a_dead_letter_and_the_others_go_on() {
    // Keywords of more than 32,766 bytes are refused.
    let mappings = json!({ "mappings": { "dynamic": false, "properties": {
        "message": { "type": "keyword" },
        "host": { "properties": { "id": { "type": "keyword" } } },
        "event": { "properties": { "sequence": { "type": "long" } } },
        "driftlog": { "properties": { "lane": { "type": "keyword" }, "kind": { "type": "keyword" } } },
    } }, "aliases": { "edge": {} } });
    let start = |folder: &std::path::Path| {
        let search = search(folder)?;
        search.ask("PUT", "/edge-000001", Some(mappings))?;
        Ok(search)
    };
    let world = World::new(start, false, "");
    let mut file = std::fs::File::create(world.device.logs().join("app.log")).unwrap();
    for line in 0..2_000 {
        writeln!(file, "line {line}").unwrap();
        if line == 1_000 {
            writeln!(file, "{}", "x".repeat(32_768)).unwrap();
        }
    }
    let count = |documents: &[String], kind: &str| {
        let named = format!("\"kind\":\"{kind}\"");
        documents.iter().filter(|document| document.contains(&named)).count()
    };
    let is_there =
        |documents: &[String]| count(documents, "record") >= 2_000 && count(documents, "deadletter") > 0;
    let mut documents = Vec::new();
    assert!(
        driftlog_tests::clock::wait_until(Duration::from_secs(120), || {
            std::thread::sleep(Duration::from_millis(500));
            documents = world.server.documents().unwrap();
            is_there(&documents)
        }),
        "{} documents",
        documents.len()
    );
    let letters: Vec<serde_json::Value> = documents
        .iter()
        .filter(|one| one.contains("\"kind\":\"deadletter\""))
        .map(|one| serde_json::from_str(one).unwrap())
        .collect();
    assert_eq!(letters.len(), 1, "{letters:?}");
    let letter = &letters[0]["driftlog"]["deadletter"];
    assert!(letter["reason"].as_str().unwrap().contains("immense term"), "{}", letter["reason"]);
    assert!(letter["document"].as_str().unwrap().contains(&"x".repeat(32_768)));
}
