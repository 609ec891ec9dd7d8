//! A broker that dies with all that it remembers.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;

use driftlog_tests::clock;
use driftlog_tests::device::AgentSettings;
use driftlog_tests::process::Process;
use driftlog_tests::shore::GatewaySettings;

use crate::world::{LONG, World, programs, seed};

fn broker(address: SocketAddr, log: &Path) -> Process {
    let mut command = programs().broker();
    command.arg(address.to_string());
    let process = Process::start("the broker", command, log).unwrap();
    assert!(clock::wait_until(LONG, || TcpStream::connect(address).is_ok()));
    process
}

#[test]
fn a_broker_that_is_killed_and_forgets_everything_costs_no_line() {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, driftlog_tests::ports::free().unwrap()));
    let mut world = World::with(&GatewaySettings { broker: Some(address), ..GatewaySettings::default() });
    let log = world.folder.path().join("broker.log");
    let mut process = broker(address, &log);
    world.start_gateway();
    let settings = AgentSettings { delay_ms_max: 50, backoff_ms_max: 200, ..AgentSettings::default() };
    let mut devices = [world.device("pump-1", &settings), world.device("valve-2", &settings)];
    let writers = devices.each_ref().map(|device| world.writer(device, 2_000, seed()));
    for device in &mut devices {
        device.start().unwrap();
    }
    for _ in 0..4 {
        let before = writers[0].lines();
        assert!(clock::wait_until(LONG, || writers[0].lines() > before + 1_000));
        process.kill();
        process = broker(address, &log);
    }
    let journals = writers.map(|writer| writer.stop().unwrap());
    world.finish(devices.into_iter().zip(journals).collect());
    process.kill();
}
