//! The step that makes a batch count: archive and ledger together.

use super::archive::Archive;
use super::{Batch, CommitError};
use crate::ledger::Ledger;

/// Puts a batch into the archive and, in the same atomic step, its writes into the ledger.
///
/// The order is the promise: the archive's bytes are durable before the ledger commit that counts
/// them, and without that commit they are cut off again.
///
/// # Errors
/// [`CommitError::Refused`]: nothing of the batch is anywhere, it may be tried again.
/// [`CommitError::InDoubt`]: archive and ledger must be opened afresh.
pub fn commit(archive: &mut Archive, ledger: &mut dyn Ledger, batch: &Batch) -> Result<(), CommitError> {
    let archived = archive.write(&batch.entries).and_then(|()| archive.sync());
    let own = match archived {
        Ok(own) => own,
        Err(error) => {
            return Err(match archive.cut_back() {
                Ok(()) => CommitError::Refused(error.to_string()),
                Err(second) => CommitError::InDoubt(format!("{error}; then {second}")),
            });
        }
    };
    let writes: Vec<_> = batch.writes.iter().cloned().chain(own).collect();
    ledger.commit(&writes).map_err(|error| CommitError::InDoubt(error.to_string()))?;
    archive.committed();
    Ok(())
}
