//! Where sources, tools and results lie.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository that this program was built from, and its folder for results.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) root: PathBuf,
    pub(crate) cross: PathBuf,
}

impl Place {
    /// The repository of this program.
    pub(crate) fn of_this_repository() -> io::Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
        let cross = root.join(target).join("cross");
        Ok(Self { root, cross })
    }

    /// Has `cross/install` install what is missing.
    pub(crate) fn install(&self, what: &str) -> io::Result<()> {
        let mut command = Command::new(self.root.join("cross/install"));
        run(command.arg(what), "what building for devices needs cannot be installed")
    }

    /// A path as a person types it in the repository.
    pub(crate) fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }
}

/// Runs a command to its good end; it speaks for itself on stderr.
pub(crate) fn run(command: &mut Command, otherwise: &str) -> io::Result<()> {
    let program = command.get_program().to_owned();
    let failed = |why: String| {
        let program = Path::new(&program).display();
        io::Error::other(format!("{otherwise}: {program} {why}"))
    };
    let status = command.status().map_err(|error| failed(error.to_string()))?;
    if status.success() { Ok(()) } else { Err(failed(format!("ended with {status}"))) }
}
