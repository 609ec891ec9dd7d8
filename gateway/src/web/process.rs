//! What the kernel says about this process.

/// What the kernel says about this process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Process {
    pub(super) resident_bytes: u64,
    pub(super) cpu_seconds: f64,
    pub(super) open_files: usize,
    pub(super) start_seconds: f64,
}

/// Reads it (proc(5): `/proc/self/stat` fields 14, 15, 22 and 24, `/proc/stat` btime); nothing
/// where there is no /proc.
pub(super) fn read() -> Option<Process> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the command's name in parentheses and may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let ticks_per_second = rustix::param::clock_ticks_per_second() as f64;
    let boot = std::fs::read_to_string("/proc/stat").ok()?;
    let boot: f64 = boot.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(Process {
        resident_bytes: field(24)? * rustix::param::page_size() as u64,
        cpu_seconds: (field(14)? + field(15)?) as f64 / ticks_per_second,
        open_files: std::fs::read_dir("/proc/self/fd").ok()?.count(),
        start_seconds: boot + field(22)? as f64 / ticks_per_second,
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_kernel_knows_this_process() {
        let process = super::read().unwrap();
        assert!(process.resident_bytes > 100_000);
        assert!(process.open_files >= 3);
        assert!(process.start_seconds > 1.7e9);
    }
}
