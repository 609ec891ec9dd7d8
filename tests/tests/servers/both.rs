//! Kafka and a search server at once, one of them down while the other is up.

use std::io;
use std::time::Duration;

use driftlog_tests::clock::wait_until;
use driftlog_tests::process::run;

use crate::world::{DEVICE, World, kafka, search};
use driftlog_tests::servers::{Kafka, Search, Sink};

const LONG: Duration = Duration::from_secs(60);

/// One of each; the ledger is in Kafka.
struct Both {
    kafka: Kafka,
    search: Search,
}

impl Sink for Both {
    fn name(&self) -> &'static str {
        self.kafka.name()
    }

    fn section(&self, more: &str) -> io::Result<String> {
        Ok(self.kafka.section(more)? + &self.search.section("")?)
    }

    fn documents(&self) -> io::Result<Vec<String>> {
        self.kafka.documents()
    }
}

impl World<Both> {
    /// Waits until a server has more than now.
    fn wait_for_more(&self, server: &impl Sink) {
        let before = server.documents().unwrap().len();
        let has_more = wait_until(LONG, || {
            std::thread::sleep(Duration::from_millis(300));
            server.documents().unwrap().len() > before
        });
        assert!(has_more, "nothing comes beyond {before} documents");
    }
}

#[test]
#[ignore = "needs kafka and kcat and search"]
fn while_one_is_down_the_other_goes_on_and_at_the_end_both_have_everything_once() {
    let start = |folder: &std::path::Path| {
        Ok(Both { kafka: kafka(&folder.join("kafka"))?, search: search(&folder.join("search"))? })
    };
    let mut world = World::new(start, false, "transaction_timeout_ms = 10000");
    world.shore.wait_ready().unwrap();
    let writer = world.writer(500);
    world.wait_for_more(&world.server.search);
    world.server.search.server().kill();
    world.wait_for_more(&world.server.kafka);
    // What the one has and the other lacks is known to the gateway that starts.
    world.shore.kill();
    world.shore.start().unwrap();
    world.wait_for_more(&world.server.kafka);
    world.server.search.start_again().unwrap();
    world.wait_for_more(&world.server.search);
    world.server.kafka.server().kill();
    std::thread::sleep(Duration::from_secs(5));
    world.shore.kill();
    world.server.kafka.start_again().unwrap();
    world.shore.start().unwrap();
    world.shore.wait_ready().unwrap();
    world.wait_for_more(&world.server.search);
    let journal = writer.stop().unwrap();
    let in_kafka = world.finish(&journal);
    let in_search = world.assert_exact(&world.server.search, &journal);
    let mut command = world.shore.program();
    command.args(["audit", "--sink", "kafka", "--sink", "search", "--config"]).arg(world.shore.config());
    let said = String::from_utf8(run(command).unwrap().stdout).unwrap();
    assert!(
        said.ends_with("of 2 lanes all sinks have the same; 0 times one is behind, 0 differ\n"),
        "{said}"
    );
    assert_eq!(in_kafka.devices[DEVICE].lines_out, in_search.devices[DEVICE].lines_out);
}
