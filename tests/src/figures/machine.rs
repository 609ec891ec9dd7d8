//! Which machine the figures are of.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The machine in one line: processor, cores, memory, kernel.
pub(super) fn name() -> String {
    let line = |file: &str, key: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key)).map(ToOwned::to_owned);
        line.and_then(|line| line.split_once(':').map(|(_, value)| value.trim().to_owned()))
    };
    let processor = line("/proc/cpuinfo", "model name").or_else(|| line("/proc/cpuinfo", "Model"));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory_kb = line("/proc/meminfo", "MemTotal").unwrap_or_default();
    let memory_kb: u64 = memory_kb.split(' ').next().and_then(|kb| kb.parse().ok()).unwrap_or(0);
    let kernel = rustix::system::uname();
    format!(
        "{}, {cores} cores, {:.1} GB, {} {} {}",
        processor.unwrap_or_else(|| "processor unknown".to_owned()),
        memory_kb as f64 / 1e6,
        kernel.sysname().to_string_lossy(),
        kernel.release().to_string_lossy(),
        kernel.machine().to_string_lossy()
    )
}

/// The file system of a folder: its type, as `/proc/mounts` has it.
pub(super) fn file_system(folder: &Path) -> String {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let folder = fs::canonicalize(folder).unwrap_or_default();
    let mount = |line: &str| {
        let mut words = line.split(' ').skip(1);
        let (at, kind) = (words.next()?.to_owned(), words.next()?.to_owned());
        folder.starts_with(&at).then_some((at.len(), kind))
    };
    // The longest path that holds the folder is the one that is seen there.
    let best = mounts.lines().filter_map(mount).max_by_key(|(length, _)| *length);
    best.map_or_else(|| "unknown".to_owned(), |(_, kind)| kind)
}

/// Bytes written so far to the block device on which a folder lies.
pub(super) fn device_bytes_written(folder: &Path) -> io::Result<u64> {
    const SECTOR_BYTES: u64 = 512;
    // The seventh number (Documentation/block/stat.rst in the kernel's source).
    const SECTORS_WRITTEN: usize = 6;
    let device = fs::metadata(folder)?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let stat = fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat"))?;
    let sectors = stat.split_ascii_whitespace().nth(SECTORS_WRITTEN).and_then(|number| number.parse().ok());
    let sectors: u64 = sectors.ok_or_else(|| io::Error::other("the block device counts no sectors"))?;
    Ok(sectors * SECTOR_BYTES)
}
