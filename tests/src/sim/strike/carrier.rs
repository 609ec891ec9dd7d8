//! What happens to broker and network.

use super::{Fault, MS, Random, World, duration};
use crate::sim::world::agenda::{Air, Cure};
use crate::sim::world::broker::{Packet, SECOND, To, WEEK};

pub(super) fn strike(world: &mut World, fault: Fault, random: &mut Random) {
    let until = world.now + duration(random);
    let weather = &mut world.broker.weather;
    let air = match fault {
        Fault::Loss => {
            weather.lost_per_mille = random.within(20..600);
            Air::Lost
        }
        Fault::Doubling => {
            weather.doubled_per_mille = random.within(20..600);
            Air::Doubled
        }
        Fault::Reordering => {
            weather.delay_ms = (1, random.within(50..20_000));
            Air::Delay
        }
        Fault::Late => {
            (weather.late_per_mille, weather.late) =
                (random.within(10..300), random.within(5..600) as i64 * SECOND);
            Air::Late
        }
        Fault::WeeksLate => {
            (weather.late_per_mille, weather.late) =
                (random.within(10..100), random.within(1..20) as i64 * WEEK / 7);
            Air::Late
        }
        Fault::Corruption => {
            weather.corrupt_per_mille = random.within(5..300);
            Air::Corrupt
        }
        other => return strike_broker(world, other, until, random),
    };
    world.agenda.put(until, Cure::Weather(air));
}

fn strike_broker(world: &mut World, fault: Fault, until: i64, random: &mut Random) {
    match fault {
        Fault::BrokerLost => {
            world.kill_broker();
            world.agenda.put(until, Cure::Broker);
        }
        Fault::BrokerRestart => {
            world.stop_broker();
            world.agenda.put(until, Cure::Broker);
        }
        Fault::RetainedLost => world.broker.retained.clear(),
        Fault::RetainedStale => {
            if let Some((device, bytes)) = world.broker.some_old_answer(random) {
                world.broker.retained.insert(device, bytes);
            }
        }
        _ => {
            for _ in 0..random.within(1..30) {
                let Some((topic, bytes)) = world.broker.some_old_message(random) else { return };
                let at = world.now + random.within(0..2_000) as i64 * MS;
                world.broker.deliver_at(at, Packet { to: To::Gateway { topic }, bytes });
            }
        }
    }
}
