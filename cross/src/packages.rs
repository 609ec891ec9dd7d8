//! Packages of what was built.

use std::fs;
use std::io;
use std::process::Command;

use crate::materials;
use crate::place::{Place, run};
use crate::target::{AGENT, GATEWAY, Target};

/// Makes them in `target/cross/packages`, which then holds nothing else.
pub(crate) fn make(place: &Place, targets: &[Target]) -> io::Result<()> {
    let folder = place.cross.join("packages");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    for recipe in [AGENT, GATEWAY] {
        let on: Vec<Target> = targets.iter().copied().filter(|target| target.builds(&recipe)).collect();
        if !on.is_empty() {
            materials::write(place, &recipe, &on, &folder)?;
        }
    }
    let mut command = Command::new(place.root.join("cross/packages/build"));
    command.args(targets.iter().map(|target| target.name()));
    run(&mut command, "the packages cannot be made")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_gateways_service_is_the_documented_one() {
        let documented = include_str!("../../docs/operate.md").replace("\n    ", "\n");
        assert!(documented.contains(include_str!("../packages/driftlog-gateway.service")));
    }

    #[test]
    fn the_service_lets_the_agent_ask_which_boot_this_is() {
        // It once said ProcSubset=pid, under which /proc/sys is not there: each start was a boot of its own.
        let service = include_str!("../packages/driftlog-agent.service");
        assert!(!service.lines().any(|line| line.starts_with("ProcSubset=pid")));
    }
}
