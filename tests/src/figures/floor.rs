//! The floor: the smallest program that reads a log, compresses 64 KiB at a time with zstd-3,
//! appends that to a file, syncs it and sends it over TCP. No cursors, no recovery, no numbers, no
//! acknowledgement. What it costs no agent can go below.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::process::{Process, Programs};

const BLOCK_BYTES: usize = 64 * 1024;
const LEVEL: i32 = 3;
const RUN_WAIT: Duration = Duration::from_secs(600);

/// The program: `floor INPUT SPOOL ADDRESS`. Says in the end how long it was on a processor.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let [input, spool, address] = args.as_slice() else { return ExitCode::from(2) };
    match run(Path::new(input), Path::new(spool), &address.to_string_lossy()) {
        Ok(cpu) => {
            let _ = writeln!(io::stdout().lock(), "{}", cpu.as_nanos());
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(io::stderr().lock(), "floor: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(input: &Path, spool: &Path, address: &str) -> io::Result<Duration> {
    let (mut input, mut spool) =
        (File::open(input)?, OpenOptions::new().append(true).create(true).open(spool)?);
    let mut stream = TcpStream::connect(address)?;
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    let mut raw = vec![0; BLOCK_BYTES];
    let mut block = vec![0; zstd::zstd_safe::compress_bound(BLOCK_BYTES)];
    loop {
        let length = fill(&mut input, &mut raw)?;
        if length == 0 {
            break;
        }
        let packed = compressor.compress_to_buffer(raw.get(..length).unwrap_or_default(), &mut block)?;
        let packed = block.get(..packed).unwrap_or_default();
        spool.write_all(packed)?;
        spool.sync_data()?;
        stream.write_all(packed)?;
    }
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    Ok(Duration::new(cpu.tv_sec.unsigned_abs(), u32::try_from(cpu.tv_nsec).unwrap_or(0)))
}

/// Reads until the buffer is full or the input ends.
fn fill(input: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match input.read(rest)? {
            0 => break,
            count => length += count,
        }
    }
    Ok(length)
}

/// What the floor cost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Floor {
    /// Its processor time.
    pub(super) cpu: Duration,
    /// Bytes that it sent.
    pub(super) wire_bytes: u64,
}

/// Runs the floor over a log, as a process of its own.
pub(super) fn measure(programs: &Programs, input: &Path, folder: &Path) -> io::Result<Floor> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let shore = std::thread::spawn(move || -> io::Result<u64> {
        io::copy(&mut listener.accept()?.0, &mut io::sink())
    });
    let mut command = programs.floor();
    command.arg(input).arg(folder.join("floor.spool")).arg(address.to_string());
    let log = folder.join("floor.log");
    let mut process = Process::start("the floor", command, &log)?;
    let status = process.wait(RUN_WAIT)?;
    let said = std::fs::read_to_string(&log)?;
    let cpu_ns = said.lines().last().and_then(|line| line.parse().ok());
    match (status.success(), cpu_ns) {
        (true, Some(cpu_ns)) => {
            let received =
                shore.join().unwrap_or_else(|_| Err(io::Error::other("the floor's shore panicked")));
            std::fs::remove_file(folder.join("floor.spool"))?;
            Ok(Floor { cpu: Duration::from_nanos(cpu_ns), wire_bytes: received? })
        }
        _ => Err(process.error(format!("failed with {status}")).into()),
    }
}
