//! Stands where the region's core is plugged in: counts what comes and serves nobody.

use std::fmt;

use driftlog_proto::ids::DeviceId;
use driftlog_proto::time::{Mono, Now};

use crate::Opened;
use crate::broker::Channel;
use crate::config::Config;
use crate::pipeline::Core;
use crate::sink::{Batch, CommitError};
use crate::status::RegionStatus;

pub(crate) struct Unserved;

pub(crate) fn open(_: &Config, _: Now) -> Result<Opened<Unserved>, String> {
    Ok(Opened { core: Unserved, commit: Box::new(|_| Ok(())) })
}

impl Core for Unserved {
    fn handle_up(&mut self, _: Now, topic: &str, _: &[u8]) {
        log::warn!("nobody serves {topic}");
    }
    fn poll_batch(&mut self, _: Now) -> Option<Batch> {
        None
    }
    fn handle_committed(&mut self, _: Now, _: u64, _: Result<(), CommitError>) {}
    fn poll_down(&mut self, _: Now) -> Option<(DeviceId, Channel, Vec<u8>)> {
        None
    }
    fn poll_deadline(&self) -> Mono {
        Mono::FOREVER
    }
    fn status(&self, _: Now) -> RegionStatus {
        RegionStatus::default()
    }
    fn metrics(&self, _: &mut dyn fmt::Write) -> fmt::Result {
        Ok(())
    }
}
