//! What became of all that was written: the gateway's audit and the comparison byte for byte.

use std::fs;
use std::io;
use std::path::Path;

use crate::compare::{Comparison, compare};
use crate::device::Device;
use crate::shore::{Audit, Shore};
use crate::writer::Journal;

/// Two independent counts of one archive.
#[derive(Debug)]
pub struct Count {
    /// What the gateway's audit says, with what the spools say.
    pub audit: Audit,
    /// What the comparison with the journals says.
    pub comparison: Comparison,
}

impl Count {
    /// Counts, after everything was stopped. What the spools say (`spool inspect --json`) stays in
    /// the folder `spools`.
    ///
    /// # Errors
    /// When spools, archive or journals cannot be read.
    pub fn take(shore: &Shore, devices: &[(&Device, &Journal)], spools: &Path) -> io::Result<Self> {
        fs::create_dir_all(spools)?;
        let mut files = Vec::new();
        for (device, _) in devices {
            let file = spools.join(format!("{}.json", device.name()));
            fs::write(&file, device.inspect()?)?;
            files.push(file);
        }
        let audit = shore.audit(&files)?;
        let journals: Vec<_> = devices.iter().map(|(device, journal)| (device.name(), *journal)).collect();
        let comparison = compare(&shore.archive(), &journals)?;
        Ok(Self { audit, comparison })
    }
}
