//! What the device boots, made by `cross/image/build`.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The kernel and the first root of the virtual device.
#[derive(Clone, Debug)]
pub struct Image(PathBuf);

impl Image {
    /// Builds the programs for ARMv7 and the image around them, and installs what that needs.
    ///
    /// # Errors
    /// When one of these fails; it speaks for itself on stderr.
    pub fn build() -> io::Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let steps: [(&Path, &[&str]); 3] = [
            (cargo.as_ref(), &["cross", "armv7"]),
            (Path::new("cross/install"), &["machine"]),
            (Path::new("cross/image/build"), &[]),
        ];
        for (program, args) in steps {
            let program = if program.starts_with("cross") { root.join(program) } else { program.to_owned() };
            let mut command = Command::new(&program);
            // Their results are not ours.
            command.args(args).current_dir(&root).stdin(std::process::Stdio::null()).stdout(io::stderr());
            let status = command.status()?;
            if !status.success() {
                let what = format!("{} {} ended with {status}", program.display(), args.join(" "));
                return Err(io::Error::other(format!("the device's image cannot be built: {what}")));
            }
        }
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
        Ok(Self(root.join(target).join("cross/image")))
    }

    pub(super) fn kernel(&self) -> PathBuf {
        self.0.join("kernel")
    }

    pub(super) fn initramfs(&self) -> PathBuf {
        self.0.join("initramfs")
    }
}
