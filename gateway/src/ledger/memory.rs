//! A ledger in memory, for tests and the simulator: durable as long as a clone of it lives.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Ledger, LedgerError, Pair, Write};
use crate::sink::archive::simulated::Faults;

/// A map behind the ledger's interface. Clones share what is durable.
#[derive(Clone, Debug, Default)]
pub struct MemoryLedger {
    durable: Arc<Mutex<BTreeMap<Vec<u8>, Vec<u8>>>>,
    faults: Faults,
}

impl MemoryLedger {
    /// An empty ledger that fails when `faults` says so.
    #[must_use]
    pub fn with_faults(faults: Faults) -> Self {
        Self { durable: Arc::default(), faults }
    }

    /// Everything that is durable.
    #[must_use]
    pub fn content(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Ledger for MemoryLedger {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, LedgerError> {
        Ok(self.durable.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned())
    }

    fn scan(&self, prefix: &[u8]) -> Result<Vec<Pair>, LedgerError> {
        let durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        let from = durable.range(prefix.to_vec()..);
        Ok(from
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    fn commit(&mut self, writes: &[Write]) -> Result<(), LedgerError> {
        let failed = |error: std::io::Error| LedgerError { operation: "write", reason: error.to_string() };
        self.faults.step().map_err(failed)?;
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        for write in writes {
            match &write.value {
                Some(value) => durable.insert(write.key.clone(), value.clone()),
                None => durable.remove(&write.key),
            };
        }
        Ok(())
    }
}
