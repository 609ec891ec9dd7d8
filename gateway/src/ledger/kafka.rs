//! The ledger in a compacted topic of Kafka, written in the transactions of the sink.
//!
//! It is read once, when the gateway begins, and then kept in memory: some hundred bytes for each lane.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Ledger, LedgerError, Pair, Write};
use crate::sink::kafka::{Link, Shared};

/// A ledger; clones are the same.
#[derive(Clone, Debug)]
pub struct KafkaLedger {
    link: Arc<Mutex<Link>>,
    entries: Shared,
}

impl KafkaLedger {
    pub(crate) fn new(link: Arc<Mutex<Link>>) -> Self {
        let entries = link.lock().unwrap_or_else(PoisonError::into_inner).entries();
        Self { link, entries }
    }
}

impl Ledger for KafkaLedger {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, LedgerError> {
        Ok(self.entries.read().get(key).cloned())
    }

    fn scan(&self, prefix: &[u8]) -> Result<Vec<Pair>, LedgerError> {
        let entries = self.entries.read();
        let from = entries.range(prefix.to_vec()..);
        let found = from.take_while(|(key, _)| key.starts_with(prefix));
        Ok(found.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn commit(&mut self, writes: &[Write]) -> Result<(), LedgerError> {
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        link.write(writes).map_err(|trouble| LedgerError { operation: "write", reason: trouble.reason() })
    }
}
