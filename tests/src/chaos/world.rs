//! The shore, its broker and the devices of one round; here strikes become signals, cuts and full disks.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::fault::Fault;
use super::plan::{Plan, Step, Strike, clock_offset_ms};
use super::small_disk::SmallDisk;
use super::unit::{Life, Unit};
use crate::process::Programs;
use crate::proxy::Proxy;
use crate::servers::{Broker, Setup};
use crate::shore::{GatewaySettings, Shore};

/// Bytes of the small disk under archive and ledger.
const DISK_BYTES: u64 = 512 << 20;
/// Small files, so that files are closed and compressed in the middle of it all.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Everything that a round runs. Processes come before what they stand on.
#[derive(Debug)]
pub(super) struct World {
    pub(super) shore: Shore,
    pub(super) units: Vec<Unit>,
    life: Life,
    broker: Option<Broker>,
    /// Between the gateway and a broker of its own.
    line: Option<Proxy>,
    /// Under archive and ledger.
    disk: Option<SmallDisk>,
    /// How often each fault struck.
    pub(super) struck: BTreeMap<Fault, u64>,
    /// Faults that cannot be had here, and why.
    pub(super) skipped: BTreeMap<Fault, String>,
}

impl World {
    /// Makes everything and starts it: the broker, the gateway, and when that is ready the devices.
    pub(super) fn start(folder: &Path, plan: &Plan) -> io::Result<Self> {
        let programs = Programs::in_myself()?;
        let setup = Setup { wrong_clock: plan.broker_clock, ..Setup::default() };
        let broker = Broker::start(plan.broker, &folder.join("broker"), &setup)?;
        let line = broker.as_ref().map(|broker| Proxy::start(broker.address())).transpose()?;
        let settings = GatewaySettings {
            file_bytes_max: FILE_BYTES_MAX,
            broker: line.as_ref().map(Proxy::address),
            has_trial_clock: plan.faults.contains(&Fault::GatewayClock),
            ..GatewaySettings::default()
        };
        let shore = Shore::new(&programs, &folder.join("gateway"), &settings)?;
        let address = broker.as_ref().map_or_else(|| shore.broker(), Broker::address);
        let mut world = Self {
            shore,
            units: Vec::new(),
            life: Life::new(),
            broker,
            line,
            disk: None,
            struck: BTreeMap::new(),
            skipped: BTreeMap::new(),
        };
        if plan.broker_clock.is_some() {
            world.struck.insert(Fault::BrokerClock, 1);
        }
        if plan.faults.contains(&Fault::FullArchive) {
            match SmallDisk::mount(&world.shore.data(), DISK_BYTES) {
                Ok(disk) => world.disk = Some(disk),
                Err(error) => world.skip(Fault::FullArchive, &error),
            }
        }
        world.life.start();
        world.shore.start()?;
        world.shore.wait_ready()?;
        for (number, its) in plan.devices.iter().enumerate() {
            let mut unit = Unit::new(&programs, number, folder, address, its)?;
            if its.has_small_disk
                && let Err(error) = unit.mount()
            {
                world.skip(Fault::FullSpool, &error);
            }
            unit.start(folder, plan.seed.wrapping_mul(1_000).wrapping_add(number as u64))?;
            world.units.push(unit);
        }
        Ok(world)
    }

    fn skip(&mut self, fault: Fault, why: &io::Error) {
        self.skipped.insert(fault, why.to_string());
    }

    /// Does one step of the plan.
    pub(super) fn act(&mut self, Step { strike, is_end, .. }: Step) -> io::Result<()> {
        let Strike { fault, device, .. } = strike;
        if is_end {
            self.end(fault)?;
            return self.units.get_mut(device).map_or(Ok(()), |unit| unit.end(fault));
        }
        let has_struck =
            self.begin(strike)? || self.units.get_mut(device).map_or(Ok(false), |unit| unit.begin(strike))?;
        *self.struck.entry(fault).or_default() += u64::from(has_struck);
        Ok(())
    }

    /// A strike at what there is once begins; whether there was anything to strike.
    fn begin(&mut self, Strike { fault, how, .. }: Strike) -> io::Result<bool> {
        match fault {
            Fault::KillGateway => {
                self.life.is_killed = true;
                if how.is_multiple_of(2) { self.shore.kill() } else { self.shore.kill_in_mid_commit() }
            }
            Fault::StopGateway => {
                let gateway = self.shore.gateway();
                gateway.iter().for_each(|gateway| gateway.pause());
                return Ok(gateway.is_some());
            }
            Fault::GatewayClock => self.shore.set_clock(clock_offset_ms(how))?,
            Fault::FullArchive => {
                return self.disk.as_mut().map_or(Ok(false), |disk| disk.fill().map(|()| true));
            }
            Fault::CutGateway => self.line.iter().for_each(|line| line.line().cut()),
            Fault::KillBroker | Fault::WipeBroker => {
                let Some(broker) = self.broker.as_mut() else { return Ok(false) };
                broker.server().kill();
                if fault == Fault::WipeBroker {
                    broker.wipe()?;
                }
            }
            Fault::StopBroker => self.broker.iter_mut().for_each(|broker| broker.server().pause()),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn end(&mut self, fault: Fault) -> io::Result<()> {
        match fault {
            Fault::KillGateway => {
                self.life.start();
                self.shore.start()?;
            }
            Fault::StopGateway => self.shore.gateway().iter().for_each(|gateway| gateway.resume()),
            Fault::FullArchive => self.disk.as_mut().map_or(Ok(()), SmallDisk::free)?,
            Fault::CutGateway => self.line.iter().for_each(|line| line.line().mend()),
            Fault::KillBroker | Fault::WipeBroker => {
                self.broker.as_mut().map_or(Ok(()), Broker::start_again)?;
            }
            Fault::StopBroker => self.broker.iter_mut().for_each(|broker| broker.server().resume()),
            _ => {}
        }
        Ok(())
    }

    /// Whether everything runs that should. What ended because its disk was full is started again, as
    /// a service manager does; whatever else ends by itself is an error.
    pub(super) fn tend(&mut self) -> io::Result<()> {
        if let Err(error) = self.shore.check() {
            if !self.disk.as_ref().is_some_and(|disk| disk.explains(self.life.started)) {
                return Err(error.into());
            }
            self.shore.kill();
            self.life.end();
        }
        if self.life.is_due() {
            self.life.start();
            self.shore.start()?;
        }
        self.broker.as_mut().map_or(Ok(()), |broker| broker.server().check())?;
        self.units.iter_mut().try_for_each(Unit::tend)
    }

    /// Waits until the broker, which may have been started a moment ago, listens.
    pub(super) fn wait_broker(&mut self) -> io::Result<()> {
        self.broker.as_mut().map_or(Ok(()), Broker::wait_listening)
    }

    /// How often a program ended by itself because its disk was full.
    pub(super) fn ends(&self) -> u64 {
        self.life.ends + self.units.iter().map(|unit| unit.life.ends).sum::<u64>()
    }

    /// Asks all agents and then the gateway to stop.
    pub(super) fn stop(&mut self) -> io::Result<()> {
        for unit in &mut self.units {
            unit.device.stop()?;
        }
        Ok(self.shore.stop()?)
    }

    /// What is on small disks is to stay when they are unmounted.
    pub(super) fn keep(&mut self) {
        let disks = self.units.iter_mut().filter_map(|unit| unit.disk.as_mut()).chain(self.disk.as_mut());
        disks.for_each(SmallDisk::keep);
    }
}
