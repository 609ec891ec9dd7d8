//! kill -9 at random instants, while lines are written and files rotated.

use std::time::Duration;

use driftlog_tests::corpus::Random;
use driftlog_tests::device::AgentSettings;

use crate::world::{World, rounds, seed};

const LINES_PER_SECOND: u64 = 4_000;

/// Blocks of 50 ms: many seals, many commits, many instants to be killed at.
fn settings() -> AgentSettings {
    AgentSettings { delay_ms_max: 50, backoff_ms_max: 200, ..AgentSettings::default() }
}

fn pause(random: &mut Random) {
    std::thread::sleep(Duration::from_millis(random.between(10, 400)));
}

#[test]
fn an_agent_killed_at_random_instants_loses_and_doubles_nothing() {
    let world = World::new();
    let mut device = world.device("pump-1", &settings());
    let writer = world.writer(&device, LINES_PER_SECOND, seed());
    let mut random = Random::new(seed());
    for round in 0..rounds() {
        device.start().unwrap();
        pause(&mut random);
        if round % 2 == 0 { device.kill() } else { device.kill_in_mid_write() }
    }
    device.start().unwrap();
    world.finish(vec![(device, writer.stop().unwrap())]);
}

#[test]
fn a_gateway_killed_at_random_instants_loses_and_doubles_nothing() {
    let mut world = World::new();
    let mut device = world.device("pump-1", &settings());
    let writer = world.writer(&device, LINES_PER_SECOND, seed());
    let mut random = Random::new(seed());
    device.start().unwrap();
    for round in 0..rounds() {
        pause(&mut random);
        if round % 2 == 0 {
            world.shore.kill()
        } else {
            world.shore.kill_in_mid_commit()
        }
        world.shore.start().unwrap();
    }
    world.shore.wait_ready().unwrap();
    world.finish(vec![(device, writer.stop().unwrap())]);
}

#[test]
fn agents_and_gateway_killed_at_random_instants_lose_and_double_nothing() {
    let mut world = World::new();
    let mut devices = [world.device("pump-1", &settings()), world.device("valve-2", &settings())];
    let writers = devices.each_ref().map(|device| world.writer(device, LINES_PER_SECOND / 2, seed()));
    let mut random = Random::new(seed() ^ 0xb07);
    for device in &mut devices {
        device.start().unwrap();
    }
    for _ in 0..rounds() {
        pause(&mut random);
        match random.below(4) {
            0 => {
                world.shore.kill_in_mid_commit();
                world.shore.start().unwrap();
            }
            1 => {
                world.shore.kill();
                for device in &mut devices {
                    device.kill();
                    device.start().unwrap();
                }
                pause(&mut random);
                world.shore.start().unwrap();
            }
            _ => {
                let device = &mut devices[random.below(2) as usize];
                device.kill_in_mid_write();
                device.start().unwrap();
            }
        }
    }
    world.shore.wait_ready().unwrap();
    let journals = writers.map(|writer| writer.stop().unwrap());
    world.finish(devices.into_iter().zip(journals).collect());
}
