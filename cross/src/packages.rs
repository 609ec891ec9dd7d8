//! Packages of what was built.

use std::fs;
use std::io;
use std::process::Command;

use crate::materials;
use crate::place::{Place, run};
use crate::target::Target;

/// Makes them in `target/cross/packages`, which then holds nothing else.
pub(crate) fn make(place: &Place, targets: &[Target]) -> io::Result<()> {
    let folder = place.cross.join("packages");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    materials::write(place, "driftlog-agent", targets, &folder)?;
    let mut command = Command::new(place.root.join("cross/packages/build"));
    command.args(targets.iter().map(|target| target.name()));
    run(&mut command, "the packages cannot be made")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_service_lets_the_agent_ask_which_boot_this_is() {
        // It once said ProcSubset=pid, under which /proc/sys is not there: each start was a boot of its own.
        let service = include_str!("../packages/driftlog-agent.service");
        assert!(!service.lines().any(|line| line.starts_with("ProcSubset=pid")));
    }
}
