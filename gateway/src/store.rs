//! What a gateway has on its disk: the ledger and the archive, opened together.

use std::path::Path;

use driftlog_proto::time::{Now, Unix};

use crate::committer::Durable;
use crate::config::Config;
use crate::ledger::sled::SledLedger;
use crate::region::{Region, RegionConfig, SinkRole};
use crate::sink::archive::directory::OsDirectory;
use crate::sink::archive::state::{ARCHIVE, ArchiveId};
use crate::sink::archive::{Archive, Upkeep};
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

/// Opens ledger and archive, and the region on them.
///
/// # Errors
/// Which of them cannot be opened, and what to do about it.
pub(crate) fn open(config: &Config, now: Now) -> Result<Opened<Region<SledLedger>>, String> {
    let mut ledger = open_ledger(&config.data_dir)?;
    let directory = OsDirectory::new(config.data_dir.join(ARCHIVE_FOLDER));
    let fresh = ArchiveId(entropy::bytes().map_err(|error| format!("cannot read random bytes: {error}"))?);
    let archive = Archive::open(Box::new(directory), config.archive.clone(), &mut ledger, fresh);
    let archive = archive.map_err(|error| error.to_string())?;
    let region =
        Region::open(region_config(config), ledger.clone(), now).map_err(|error| error.to_string())?;
    Ok(Opened { core: region, durable: Box::new(Store { archive, ledger }) })
}

fn open_ledger(data_dir: &Path) -> Result<SledLedger, String> {
    SledLedger::open(&data_dir.join(LEDGER_FOLDER)).map_err(|error| error.to_string())
}

fn region_config(config: &Config) -> RegionConfig {
    RegionConfig {
        sinks: vec![SinkRole { name: ARCHIVE.to_owned(), is_required: true }],
        memory_bytes_max: config.receive.memory_bytes_max,
        credit_bytes_max: u64::from(config.receive.credit_bytes_max),
        message_rate_max: config.receive.message_rate_max,
        devices: config.devices.clone(),
    }
}
