//! `check --online` beside an agent that is connected to a real gateway.

use std::process::Output;

use driftlog_tests::clock;
use driftlog_tests::device::{AgentSettings, Device};
use driftlog_tests::process::run;
use driftlog_tests::writer::Journal;

use crate::world::{LONG, World, append, programs};

fn check(device: &Device) -> (Option<i32>, String) {
    let mut command = programs().agent();
    command.args(["check", "--online", "--config"]).arg(device.config());
    let Output { status, stdout, stderr } = run(command).unwrap();
    (status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

#[test]
fn a_check_beside_a_connected_agent_changes_nothing_at_the_gateway() {
    let mut world = World::new();
    let settings = AgentSettings { bulk_bytes_max: 1 << 20, durability: "none", ..AgentSettings::default() };
    let mut device = world.device("pump-1", &settings);
    let (code, said) = check(&device);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("\nspool    ok ") && said.contains("; connected without a user, topics may be read\n"),
        "{said}"
    );
    assert!(!device.state().exists(), "nothing is made: {said}");
    let file = append(&device.logs().join("a.log"), 0..500, "a");
    device.start().unwrap();
    let is_answered = |device: &Device| device.status().is_some_and(|status| status.core.answered);
    assert!(clock::wait_until(LONG, || is_answered(&device)), "{:?}", device.status());
    for _ in 0..3 {
        let (code, said) = check(&device);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("\nspool    ok     in use by the agent that runs, process "), "{said}");
        assert!(said.contains("; connected without a user, topics may be read\n"), "{said}");
    }
    append(&file, 500..1_000, "a");
    let journal = || Journal::of_files(std::slice::from_ref(&file)).unwrap();
    world.wait_arrived(&[("pump-1", &journal())], &mut [&mut device]);
    let link = device.status().unwrap().link;
    assert_eq!((link.is_up, link.connections, link.last_error), (true, 1, None), "it kept its connection");
    world.shore.kill();
    let (code, said) = check(&device);
    assert!(code == Some(1) && said.contains("\nbroker   wrong  "), "{said}");
    world.start_gateway();
    world.finish(vec![(device, journal())]);
}
