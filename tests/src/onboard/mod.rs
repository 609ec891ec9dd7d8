//! `cargo onboard`: what the agent costs on the device itself: bytes that reach its flash, and memory.
//!
//! Measured in the virtual ARM device, where both can be counted whole: `/sys/block/…/stat` has the file
//! system's own writes too, and the process's pages are not an emulator's. Numbers, not a test.

mod flash;
mod memory;
mod options;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::process::ExitCode;

use options::{HELP, Options, What};

use crate::exit;
use crate::machine::Image;
use crate::place;

/// Measures; the arguments are those behind `onboard`.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let outcome = Options::parse(args).map(|options| match options {
        Some(options) => run(&options).map(|()| true),
        None => exit::help(HELP),
    });
    exit::code("onboard", outcome)
}

fn run(options: &Options) -> io::Result<()> {
    let image = Image::build()?;
    let folder = place::beside_the_binary("onboard")?;
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let mut out = io::stdout().lock();
    if options.what != What::Memory {
        flash::measure(&image, &folder.join("flash"), options)?.write(&mut out)?;
    }
    if options.what != What::Flash {
        memory::measure(&image, &folder.join("memory"), options.backlog_mb)?.write(&mut out)?;
    }
    fs::remove_dir_all(&folder)
}
