//! What a process has used, as the kernel counts it (`proc(5)`).

use std::fs;
use std::io;
use std::time::Duration;

/// `USER_HZ`: the unit of the times in `/proc/PID/stat`, 100 on every Linux architecture we run on.
const TICKS_PER_SECOND: u64 = 100;

/// What a process has used since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time on a processor, of all its threads, in user and kernel mode; steps of 10 ms.
    pub cpu: Duration,
    /// Bytes that it caused to be written to a block device (pages that it made dirty). A file
    /// system in memory causes none.
    pub flash_bytes: u64,
    /// Bytes that it passed to `write` and its like, wherever they went.
    pub written_bytes: u64,
    /// Resident memory now.
    pub resident_bytes: u64,
    /// The most resident memory so far.
    pub resident_bytes_peak: u64,
    /// How often one of its threads gave up the processor to wait, and so was woken up.
    pub wakeups: u64,
}

impl Usage {
    /// What the running process has used so far.
    ///
    /// # Errors
    /// When it is not there, or belongs to somebody else.
    pub fn of(process: u32) -> io::Result<Self> {
        let read = |name: &str| fs::read_to_string(format!("/proc/{process}/{name}"));
        let (stat, io, status) = (read("stat")?, read("io")?, read("status")?);
        // The command's name is in parentheses and may have any character; behind it come
        // the state (field 3) and numbers.
        let numbers = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks = |field: usize| -> u64 {
            numbers.split_ascii_whitespace().nth(field - 3).and_then(|n| n.parse().ok()).unwrap_or(0)
        };
        let cpu_ms = (ticks(14) + ticks(15)) * 1000 / TICKS_PER_SECOND;
        Ok(Self {
            cpu: Duration::from_millis(cpu_ms),
            flash_bytes: value(&io, "write_bytes:"),
            written_bytes: value(&io, "wchar:"),
            resident_bytes: value(&status, "VmRSS:") * 1024,
            resident_bytes_peak: value(&status, "VmHWM:") * 1024,
            wakeups: wakeups(process)?,
        })
    }

    /// This and another process together: times and bytes add up, the peak is the higher one.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            cpu: self.cpu + other.cpu,
            flash_bytes: self.flash_bytes + other.flash_bytes,
            written_bytes: self.written_bytes + other.written_bytes,
            resident_bytes: other.resident_bytes,
            resident_bytes_peak: self.resident_bytes_peak.max(other.resident_bytes_peak),
            wakeups: self.wakeups + other.wakeups,
        }
    }
}

/// Of all threads that are there now.
fn wakeups(process: u32) -> io::Result<u64> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        // One that has ended since the folder was listed says nothing.
        let status = fs::read_to_string(thread?.path().join("status")).unwrap_or_default();
        sum += value(&status, "voluntary_ctxt_switches:");
    }
    Ok(sum)
}

/// The number behind a name at the beginning of a line; 0 where there is none.
fn value(text: &str, name: &str) -> u64 {
    let rest = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("");
    rest.split_ascii_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_and_writes_is_seen_to_do_so() {
        let before = Usage::of(std::process::id()).unwrap();
        (0..5).for_each(|_| std::thread::sleep(Duration::from_millis(2)));
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), vec![7; 1 << 20]).unwrap();
        let mut sum = 0u64;
        while Usage::of(std::process::id()).unwrap().cpu == before.cpu {
            sum = sum.wrapping_mul(31).wrapping_add(1);
        }
        let after = Usage::of(std::process::id()).unwrap();
        assert!(after.written_bytes - before.written_bytes >= 1 << 20, "{before:?} {after:?} {sum}");
        assert!(after.wakeups - before.wakeups >= 5, "{before:?} {after:?}");
        assert!(after.resident_bytes_peak >= after.resident_bytes && after.resident_bytes > 0);
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        assert!(Usage::of(u32::MAX).is_err());
    }
}
