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
