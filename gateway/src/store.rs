//! What a gateway has on its disk, and the sinks beside it, opened together.

use std::path::Path;

use driftlog_proto::time::{Now, Unix};

use crate::committer::Durable;
use crate::config::Config;
use crate::ledger::Ledger as _;
use crate::ledger::sled::SledLedger;
use crate::region::{Keeping, Region, RegionConfig, SinkRole};
use crate::sink::archive::directory::OsDirectory;
use crate::sink::archive::state::{ARCHIVE, ArchiveId};
use crate::sink::archive::{Archive, Upkeep};
use crate::sink::search::{SEARCH, Search};
use crate::sink::{Batch, CommitError, commit};
use crate::{Opened, entropy};

/// The ledger's folder in the data directory.
pub(crate) const LEDGER_FOLDER: &str = "ledger";
/// The archive's folder in the data directory.
pub(crate) const ARCHIVE_FOLDER: &str = "archive";

/// Archive and ledger, which change together.
#[derive(Debug)]
struct Store {
    archive: Archive,
    ledger: SledLedger,
}

impl Durable for Store {
    fn commit(&mut self, batch: &Batch) -> Result<(), CommitError> {
        commit::commit(&mut self.archive, &mut self.ledger, batch)
    }

    fn upkeep(&mut self, now: Unix) -> Result<bool, CommitError> {
        Ok(self.archive.upkeep(&mut self.ledger, now)? == Upkeep::More)
    }
}

/// The ledger, where no sink shares its commits.
#[derive(Debug)]
struct Alone(SledLedger);

impl Durable for Alone {
    fn commit(&mut self, batch: &Batch) -> Result<(), CommitError> {
        self.0.commit(&batch.writes).map_err(|error| CommitError::InDoubt(error.to_string()))
    }

    fn upkeep(&mut self, _: Unix) -> Result<bool, CommitError> {
        Ok(false)
    }
}

/// Opens ledger and sinks, and the region on them.
///
/// # Errors
/// Which of them cannot be opened, and what to do about it.
pub(crate) fn open(config: &Config, now: Now) -> Result<Opened<Region<SledLedger>>, String> {
    let mut ledger = open_ledger(&config.data_dir)?;
    let archive = config.archive.enabled.then(|| open_archive(config, &mut ledger)).transpose()?;
    let region = region_config(config);
    let sinks = region.sinks.clone();
    let region = Region::open(region, ledger.clone(), Vec::new(), now).map_err(|error| error.to_string())?;
    let mut durables: Vec<Box<dyn Durable>> = Vec::new();
    if let Some(archive) = archive {
        durables.push(Box::new(Store { archive, ledger: ledger.clone() }));
    }
    if let Some(at) = sinks.iter().position(|sink| sink.name == SEARCH) {
        durables.push(Box::new(Search::new(config.search.clone(), region.index(at).unwrap_or(1))?));
    }
    if !config.archive.enabled {
        durables.push(Box::new(Alone(ledger)));
    }
    Ok(Opened { core: region, durables })
}

fn open_archive(config: &Config, ledger: &mut SledLedger) -> Result<Archive, String> {
    let directory = OsDirectory::new(config.data_dir.join(ARCHIVE_FOLDER));
    let fresh = ArchiveId(entropy::bytes().map_err(|error| format!("cannot read random bytes: {error}"))?);
    let archive = Archive::open(Box::new(directory), config.archive.clone(), ledger, fresh);
    archive.map_err(|error| error.to_string())
}

fn open_ledger(data_dir: &Path) -> Result<SledLedger, String> {
    SledLedger::open(&data_dir.join(LEDGER_FOLDER)).map_err(|error| error.to_string())
}

fn region_config(config: &Config) -> RegionConfig {
    let archive = config.archive.enabled.then(|| SinkRole {
        name: ARCHIVE.to_owned(),
        is_required: config.archive.required,
        keeping: Keeping::WithLedger,
    });
    let search = config.search.is_on().then(|| SinkRole {
        name: SEARCH.to_owned(),
        is_required: config.search.required,
        keeping: Keeping::Behind { is_indexed: true },
    });
    RegionConfig {
        sinks: archive.into_iter().chain(search).collect(),
        memory_bytes_max: config.receive.memory_bytes_max,
        credit_bytes_max: u64::from(config.receive.credit_bytes_max),
        message_rate_max: config.receive.message_rate_max,
        devices: config.devices.clone(),
    }
}
