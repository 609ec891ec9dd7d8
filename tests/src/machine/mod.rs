//! A whole device: an ARM kernel in qemu, a flash with a file system, the real agent for ARMv7, and a
//! power cord that can be pulled at any instant.
//!
//! SIGKILL of qemu is the power cut: the kernel's page cache is gone, what the kernel had given to its
//! disk stays. The host is 10.0.2.2 for the device, its loopback included.

mod console;
mod image;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

pub use console::Console;
pub use image::Image;

use crate::process::{Process, ProcessError, run};

/// Megabytes of memory.
const MEMORY_MB: &str = "64";
/// What the kernel is told.
const KERNEL: &str = "console=ttyAMA0 quiet panic=-1";

/// A file that the device finds when it comes up.
pub type Brought<'a> = (&'a str, &'a str);

/// The flash of a device, and its file system.
#[derive(Clone, Copy, Debug)]
pub struct Flash {
    /// How large it is.
    pub megabytes: u64,
    /// Bytes of ext4's blocks.
    pub block_bytes: u64,
}

impl Flash {
    /// With blocks of 4 KiB, as mkfs.ext4 makes them where there is 512 MB or more.
    #[must_use]
    pub const fn new(megabytes: u64) -> Self {
        Self { megabytes, block_bytes: 4_096 }
    }
}

/// A device that is on or off.
///
/// ```text
/// flash.ext4     its flash, mounted at /data
/// boot.tar       what it finds when it comes up, unpacked over everything
/// console-N      what it said on its console after being switched on for the Nth time
/// ```
#[derive(Debug)]
pub struct Machine {
    name: String,
    folder: PathBuf,
    image: Image,
    process: Option<Process>,
    boots: u64,
}

impl Machine {
    /// A device that is off, with an empty flash.
    ///
    /// # Errors
    /// When the flash cannot be made.
    pub fn new(name: &str, folder: &Path, image: &Image, flash: Flash) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let machine = Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
            image: image.clone(),
            process: None,
            boots: 0,
        };
        let file = machine.flash();
        fs::File::create(&file)?.set_len(flash.megabytes << 20)?;
        let mut command = Command::new("/sbin/mkfs.ext4");
        // Nothing is left to be initialised later: what is written to the flash is what the device wrote.
        command.args(["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", "-b"]);
        command.arg(flash.block_bytes.to_string()).arg(&file);
        done(command, "the flash cannot be formatted")?;
        Ok(machine)
    }

    fn flash(&self) -> PathBuf {
        self.folder.join("flash.ext4")
    }

    /// Copies the flash of a device that is off to `flash-N`, as its Nth boot will find it.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub fn keep_flash(&self) -> io::Result<()> {
        let mut command = Command::new("cp");
        let copy = self.folder.join(format!("flash-{}", self.boots + 1));
        command.arg("--sparse=always").arg(self.flash()).arg(copy);
        done(command, "the flash cannot be copied")
    }

    /// Switches it on; these files are there before anything runs. `etc/driftlog/boot` is what it does.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn switch_on(&mut self, brought: &[Brought<'_>]) -> io::Result<Console> {
        self.boots += 1;
        let console = self.folder.join(format!("console-{}", self.boots));
        let command = self.command(&self.pack(brought)?, "stdio");
        self.process = Some(Process::start(&self.name, command, &console)?);
        Ok(Console::new(console))
    }

    /// Switches it on with its console on this terminal, until it is off again.
    ///
    /// # Errors
    /// When it cannot be started, or does not end well.
    pub fn use_here(&mut self, brought: &[Brought<'_>]) -> io::Result<()> {
        self.boots += 1;
        let status = self.command(&self.pack(brought)?, "mon:stdio").status()?;
        match status.success() {
            true => Ok(()),
            false => Err(io::Error::other(format!("{} ended with {status}", self.name))),
        }
    }

    fn command(&self, boot: &Path, serial: &str) -> Command {
        // Dies with us, whatever becomes of us.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "qemu-system-arm", "-M", "virt,highmem=off"]);
        command.args(["-cpu", "cortex-a15", "-m", MEMORY_MB, "-nographic", "-no-reboot", "-monitor", "none"]);
        command.args(["-serial", serial, "-append", KERNEL]);
        command.arg("-kernel").arg(self.image.kernel()).arg("-initrd").arg(self.image.initramfs());
        // The host does not fail, so nothing is gained by syncing there.
        for (name, file, more) in [("flash", self.flash().as_path(), ""), ("boot", boot, ",readonly=on")] {
            let file = file.display();
            command.arg("-drive").arg(format!("if=none,id={name},file={file},format=raw,cache=unsafe{more}"));
            command.arg("-device").arg(format!("virtio-blk-device,drive={name},serial={name}"));
        }
        command.args(["-netdev", "user,id=net", "-device", "virtio-net-device,netdev=net"]);
        command
    }

    fn pack(&self, brought: &[Brought<'_>]) -> io::Result<PathBuf> {
        let (folder, tar) = (self.folder.join("boot"), self.folder.join("boot.tar"));
        for (path, text) in brought {
            let file = folder.join(path);
            file.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(file, text)?;
        }
        let mut command = Command::new("tar");
        command.arg("--create").arg("--file").arg(&tar).arg("--directory").arg(&folder).arg(".");
        done(command, "what the device is to find cannot be packed")?;
        Ok(tar)
    }

    /// Cuts its power.
    pub fn cut(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// How often it was switched on.
    #[must_use]
    pub fn boots(&self) -> u64 {
        self.boots
    }

    /// An error if it should be on and is not, or if its kernel gave up.
    ///
    /// # Errors
    /// It went off by itself.
    pub fn check(&mut self) -> Result<(), ProcessError> {
        match self.process.as_mut().map(|process| (process.ended(), process)) {
            Some((Some(status), process)) => Err(process.error(format!("went off by itself with {status}"))),
            _ => Ok(()),
        }
    }
}

/// Runs a tool to its good end.
fn done(command: Command, otherwise: &str) -> io::Result<()> {
    let output = run(command)?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{otherwise}: {}", String::from_utf8_lossy(&output.stderr))))
}
