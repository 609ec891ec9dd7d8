//! What a device's spool says, against the archive.
//!
//! Input is what `driftlog-agent spool inspect --json` prints: for each lane one object with
//! `device_id`, `lane`, `base`, `next` (places: `run`, `seq`, `chain`) and `gaps`; one after
//! another, or in an array.

use driftlog_proto::ids::{Chain, DeviceId, Lane, Place, RunId};
use serde::{Deserialize, Serialize};

use super::history::History;
use crate::sink::ecs::document::{Outline, RawPlace};

/// A lane of a device's spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolLane {
    /// The device.
    pub device: DeviceId,
    /// The lane.
    pub lane: Lane,
    /// The place below which the device was told that everything is safe.
    pub base: Place,
    /// The place after its newest item.
    pub next: Place,
}

/// What a lane's spool and the archive say about each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SpoolFinding {
    /// The device.
    pub device: String,
    /// The lane.
    pub lane: &'static str,
    /// The number below which everything was acknowledged.
    pub acknowledged: u64,
    /// The number below which that run is in the archive; `None` if it is not there at all.
    pub archived: Option<u64>,
    /// Acknowledged records that are not in the archive.
    pub missing: u64,
    /// The archive has another history at the acknowledged place.
    pub is_other_history: bool,
    /// Records of the newest run that the device still has and the archive does not.
    pub waiting: u64,
    /// Records of the newest run that the archive has and the device does not know of.
    pub forgotten: u64,
}

impl SpoolFinding {
    /// Whether something that was acknowledged is not there.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.missing > 0 || self.is_other_history
    }
}

impl SpoolLane {
    /// Reads what `driftlog-agent spool inspect --json` printed.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Vec<Self>, String> {
        let mut lanes = Vec::new();
        for value in serde_json::Deserializer::from_str(text).into_iter::<OneOrMany<'_>>() {
            match value.map_err(|error| {
                format!("{error}\nhint: give it the output of `driftlog-agent spool inspect --json`")
            })? {
                OneOrMany::One(lane) => lanes.push(lane.read()?),
                OneOrMany::Many(many) => {
                    for lane in many {
                        lanes.push(lane.read()?);
                    }
                }
            }
        }
        Ok(lanes)
    }

    /// Whether a document of this lane ends at the base.
    pub(super) fn is_at_base(&self, outline: &Outline, end: &Place) -> bool {
        end.run == self.base.run
            && end.seq == self.base.seq
            && outline.lane == self.lane
            && outline.device == self.device
    }

    /// Compares it with what the archive has; `seen` is the archive's chain at the base.
    pub(super) fn compare(&self, mut history: Option<&mut History>, seen: Option<Chain>) -> SpoolFinding {
        let mut reached = |run: RunId| history.as_mut().and_then(|history| history.reached(run));
        let archived = reached(self.base.run);
        let acknowledged = self.base.seq.0;
        let newest = reached(self.next.run);
        let arrived = history.and_then(|history| history.next(self.next.run));
        let is_origin = self.base.run == RunId::ORIGIN;
        let is_same = |chain: Chain| chain == self.base.chain || chain == Chain::ROOT;
        SpoolFinding {
            device: self.device.to_string(),
            lane: self.lane.name(),
            acknowledged,
            archived,
            missing: if is_origin { 0 } else { acknowledged.saturating_sub(archived.unwrap_or(0)) },
            is_other_history: self.base.chain != Chain::ROOT && seen.is_some_and(|chain| !is_same(chain)),
            waiting: self.next.seq.0.saturating_sub(newest.or(archived).unwrap_or(acknowledged)),
            forgotten: arrived.unwrap_or(0).saturating_sub(self.next.seq.0),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<'a> {
    #[serde(borrow)]
    Many(Vec<RawLane<'a>>),
    #[serde(borrow)]
    One(RawLane<'a>),
}

#[derive(Deserialize)]
struct RawLane<'a> {
    device_id: String,
    lane: String,
    #[serde(borrow)]
    base: RawPlace<'a>,
    #[serde(borrow)]
    next: RawPlace<'a>,
}

impl RawLane<'_> {
    fn read(&self) -> Result<SpoolLane, String> {
        Ok(SpoolLane {
            device: DeviceId::new(&self.device_id).map_err(|error| format!("{}: {error}", self.device_id))?,
            lane: Lane::from_name(&self.lane).ok_or_else(|| format!("there is no lane {}", self.lane))?,
            base: self.base.place()?,
            next: self.next.place()?,
        })
    }
}
