//! The gateway's durable memory: for each lane its runs with their marks, clock models, notices.

#[cfg(feature = "kafka")]
pub mod kafka;
pub mod memory;
pub mod record;
pub mod sled;

/// A durable map from keys to values, changed in atomic commits.
///
/// Keys: `lane/<device>/<lane>` ([`record::LaneRecord`]), `device/<device>` (its clock model),
/// `gateway/generation`, `gateway/sinks`, and whatever a sink keeps under its own name (`archive/…`).
pub trait Ledger: std::fmt::Debug {
    /// The value of a key.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, LedgerError>;

    /// Every key with this prefix and its value, in the order of the keys.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn scan(&self, prefix: &[u8]) -> Result<Vec<Pair>, LedgerError>;

    /// Makes all writes durable at once, or none.
    ///
    /// # Errors
    /// When it is not known whether they are durable: the ledger must be opened afresh.
    fn commit(&mut self, writes: &[Write]) -> Result<(), LedgerError>;
}

impl<L: Ledger + ?Sized> Ledger for Box<L> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, LedgerError> {
        (**self).get(key)
    }

    fn scan(&self, prefix: &[u8]) -> Result<Vec<Pair>, LedgerError> {
        (**self).scan(prefix)
    }

    fn commit(&mut self, writes: &[Write]) -> Result<(), LedgerError> {
        (**self).commit(writes)
    }
}

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// One change of a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The key.
    pub key: Vec<u8>,
    /// The new value; `None` removes the key.
    pub value: Option<Vec<u8>>,
}

/// The ledger cannot be read or written.
#[derive(Debug)]
pub struct LedgerError {
    /// What was being done.
    pub operation: &'static str,
    /// What the store said.
    pub reason: String,
}

impl std::fmt::Display for LedgerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot {} the ledger: {}", self.operation, self.reason)
    }
}

impl std::error::Error for LedgerError {}
