//! What a gateway has on its disk, and the sinks beside it, opened together.

use std::path::Path;

use driftlog_proto::time::{Now, Unix};

use crate::committer::Durable;
use crate::config::Config;
use crate::ledger::Ledger;
use crate::ledger::sled::SledLedger;
use crate::region::{Keeping, Region, RegionConfig, SinkRole};
use crate::sink::archive::directory::OsDirectory;
use crate::sink::archive::state::{ARCHIVE, ArchiveId};
use crate::sink::archive::{Archive, Upkeep};
use crate::sink::kafka::KAFKA;
use crate::sink::search::{SEARCH, Search};
use crate::sink::{Batch, CommitError, commit};
use crate::{NotOpened, Opened, entropy};

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

/// A ledger, wherever it is kept.
type Kept = Box<dyn Ledger + Send>;

/// Opens what a gateway keeps, again and again as it must.
#[derive(Debug)]
pub(crate) struct Stores {
    #[cfg(feature = "kafka")]
    instance: crate::sink::kafka::Instance,
    /// From the second time on it does not take a ledger from another gateway.
    #[cfg(feature = "kafka")]
    has_opened: bool,
}

impl Stores {
    /// # Errors
    /// When the system has no random bytes.
    pub(crate) fn new() -> Result<Self, String> {
        #[cfg(feature = "kafka")]
        let instance = entropy::bytes().map_err(|error| format!("cannot read random bytes: {error}"))?;
        Ok(Self {
            #[cfg(feature = "kafka")]
            instance: crate::sink::kafka::Instance(instance),
            #[cfg(feature = "kafka")]
            has_opened: false,
        })
    }

    /// Opens ledger and sinks, and the region on them.
    ///
    /// # Errors
    /// Which of them cannot be opened, and what to do about it.
    pub(crate) fn open(&mut self, config: &Config, now: Now) -> Result<Opened<Region<Kept>>, NotOpened> {
        if config.kafka.is_on() {
            return self.open_kafka(config, now);
        }
        let ledger = open_ledger(&config.data_dir)?;
        let (archive, alone) = if config.archive.enabled {
            (Some(open_store(config, &ledger)?), None)
        } else {
            (None, Some(Box::new(Alone(ledger.clone())) as Box<dyn Durable>))
        };
        Ok(join(config, Box::new(ledger), Vec::new(), [archive], alone, now)?)
    }

    #[cfg(feature = "kafka")]
    fn open_kafka(&mut self, config: &Config, now: Now) -> Result<Opened<Region<Kept>>, NotOpened> {
        use std::sync::{Arc, Mutex};

        use crate::ledger::kafka::KafkaLedger;
        use crate::sink::kafka::{Kafka, Link, Trouble};

        let mut link = Link::new(config.kafka.clone(), self.instance, !self.has_opened, false);
        link.connect().map_err(|trouble| match trouble {
            Trouble::Refused(reason) => NotOpened::Failed(reason),
            Trouble::Superseded(reason) => NotOpened::Superseded(reason),
        })?;
        self.has_opened = true;
        let link = Arc::new(Mutex::new(link));
        let ledger = KafkaLedger::new(Arc::clone(&link));
        // The archive beside it keeps its own marks.
        let mut archive: Option<Box<dyn Durable>> = None;
        let mut stores: Vec<(usize, Kept)> = Vec::new();
        if config.archive.enabled {
            let own = open_ledger(&config.data_dir)?;
            archive = Some(open_store(config, &own)?);
            stores.push((1, Box::new(own)));
        }
        let kafka: Box<dyn Durable> = Box::new(Kafka::new(link));
        Ok(join(config, Box::new(ledger), stores, [Some(kafka), archive], None, now)?)
    }

    #[cfg(not(feature = "kafka"))]
    fn open_kafka(&mut self, _: &Config, _: Now) -> Result<Opened<Region<Kept>>, NotOpened> {
        Err(NotOpened::Failed(crate::sink::kafka::WITHOUT.to_owned()))
    }
}

/// The region on an opened ledger, and what commits, in the order of its sinks.
fn join(
    config: &Config,
    ledger: Kept,
    stores: Vec<(usize, Kept)>,
    local: impl IntoIterator<Item = Option<Box<dyn Durable>>>,
    alone: Option<Box<dyn Durable>>,
    now: Now,
) -> Result<Opened<Region<Kept>>, String> {
    let region = region_config(config);
    let sinks = region.sinks.clone();
    let region = Region::open(region, ledger, stores, now).map_err(|error| error.to_string())?;
    let mut durables: Vec<Box<dyn Durable>> = local.into_iter().flatten().collect();
    if let Some(at) = sinks.iter().position(|sink| sink.name == SEARCH) {
        durables.push(Box::new(Search::new(config.search.clone(), region.index(at).unwrap_or(1))?));
    }
    durables.extend(alone);
    Ok(Opened { core: region, durables })
}

/// The archive on its ledger.
fn open_store(config: &Config, ledger: &SledLedger) -> Result<Box<dyn Durable>, String> {
    let mut ledger = ledger.clone();
    let directory = OsDirectory::new(config.data_dir.join(ARCHIVE_FOLDER));
    let fresh = ArchiveId(entropy::bytes().map_err(|error| format!("cannot read random bytes: {error}"))?);
    let archive = Archive::open(Box::new(directory), config.archive.clone(), &mut ledger, fresh);
    Ok(Box::new(Store { archive: archive.map_err(|error| error.to_string())?, ledger }))
}

fn open_ledger(data_dir: &Path) -> Result<SledLedger, String> {
    SledLedger::open(&data_dir.join(LEDGER_FOLDER)).map_err(|error| error.to_string())
}

fn region_config(config: &Config) -> RegionConfig {
    let kafka = config.kafka.is_on().then(|| SinkRole {
        name: KAFKA.to_owned(),
        is_required: true,
        keeping: Keeping::WithLedger,
    });
    let archive = config.archive.enabled.then(|| SinkRole {
        name: ARCHIVE.to_owned(),
        is_required: config.archive.required,
        keeping: if kafka.is_some() { Keeping::ByItself } else { Keeping::WithLedger },
    });
    let search = config.search.is_on().then(|| SinkRole {
        name: SEARCH.to_owned(),
        is_required: config.search.required,
        keeping: Keeping::Behind { is_indexed: true },
    });
    RegionConfig {
        sinks: kafka.into_iter().chain(archive).chain(search).collect(),
        memory_bytes_max: config.receive.memory_bytes_max,
        credit_bytes_max: u64::from(config.receive.credit_bytes_max),
        message_rate_max: config.receive.message_rate_max,
        devices: config.devices.clone(),
    }
}
