//! `init`: a configuration for this machine, from what is found on it. Nothing is asked.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::room::{Room, spool_bytes};
use super::status::bytes;
use super::{FAILED, fail, files, say};
use crate::config::{BROKER_TO_SET, Config, ConfigError, STATE_DIR_DEFAULT, Setting, draft};
use crate::identity;
use crate::source::{OsFiles, Usual, usual};

/// Where there may be flash when [`STATE_DIR_DEFAULT`] lies in memory, as it does on OpenWrt.
const STATE_DIRS: [&str; 3] = ["/overlay/driftlog", "/data/driftlog", "/srv/driftlog"];
/// What is written where nothing is found: there may be something later.
const PATHS_DEFAULT: [&str; 3] = ["/var/log/*.log*", "/var/log/syslog*", "/var/log/messages*"];
const MIB: u64 = 1 << 20;
/// What both lanes may take by default.
const SPOOL_BYTES: u64 = (256 + 16) * MIB;
/// Of what is free, a spool takes this part at most.
const PART_OF_FREE: u64 = 2;
/// Paths that are named one by one.
const PATHS_SHOWN: usize = 8;

/// Writes a configuration. A file that is there is left alone, or with `is_forced` kept as `FILE.old`.
pub(super) fn run(file: &Path, is_forced: bool) -> u8 {
    if !is_forced && file.symlink_metadata().is_ok() {
        return fail(FAILED, exists(file));
    }
    let found = usual(&mut OsFiles);
    let (state_dir, room) = state_dir();
    let settings = settings(&found, state_dir, room.as_ref());
    let (text, config) = match written(file, settings) {
        Ok(written) => written,
        Err(error) => return fail(FAILED, error),
    };
    match put(file, &text, is_forced) {
        Ok(()) => say(&told(file, &config, &found, room.as_ref())),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fail(FAILED, exists(file)),
        Err(error) => fail(
            FAILED,
            format_args!(
                "error: cannot write {}: {error}\nhint: run it as a user who may, or give another file with --config",
                file.display()
            ),
        ),
    }
}

fn exists(file: &Path) -> String {
    let file = file.display();
    format!(
        "error: {file} is there already and is left as it is\n\
         hint: --force writes another in its place and keeps it as {file}.old; --config FILE writes elsewhere"
    )
}

/// The text and what it means: with the name from `/etc/machine-id`, or with one that is made up where there is none.
fn written(file: &Path, mut settings: Vec<Setting>) -> Result<(String, Config), ConfigError> {
    let head = "driftlog-agent: written by `driftlog-agent init` from what it found on this machine.\n\
                What is commented out shows its default, or an example where there is none.\n\
                After a change: driftlog-agent check --online";
    let text = draft(head, &settings);
    if let Ok(config) = Config::parse_here(file, &text) {
        return Ok((text, config));
    }
    settings.push(Setting { section: "", key: "device_id", value: quoted(&made_up_name()) });
    let text = draft(head, &settings);
    Config::parse_here(file, &text).map(|config| (text, config))
}

/// The host's name, and six digits of the hardware's fingerprint: boxes of one kind have one name.
fn made_up_name() -> String {
    let hardware = match identity::hardware() {
        0 => identity::random_number(),
        known => known,
    };
    let uname = rustix::system::uname();
    let host = uname.nodename().to_string_lossy();
    let is_carried = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let host: String = host.chars().take(32).map(|c| if is_carried(c) { c } else { '-' }).collect();
    format!("{host}-{:06x}", hardware & 0xff_ffff)
}

/// Where the spool goes, if not where it does by default, and what room is there.
fn state_dir() -> (Option<&'static str>, Option<Room>) {
    let usable = |path: &str| Room::of(Path::new(path)).ok().filter(|room| !room.is_memory);
    if let Some(room) = usable(STATE_DIR_DEFAULT) {
        return (None, Some(room));
    }
    let may_hold = |path: &&str| {
        let above = Path::new(path).parent().unwrap_or(Path::new("/"));
        access(above, Access::WRITE_OK | Access::EXEC_OK).is_ok()
    };
    let other = STATE_DIRS.into_iter().filter(may_hold).find_map(|path| Some((path, usable(path)?)));
    match other {
        Some((path, room)) => (Some(path), Some(room)),
        None => (None, Room::of(Path::new(STATE_DIR_DEFAULT)).ok()),
    }
}

fn settings(found: &Usual, state_dir: Option<&str>, room: Option<&Room>) -> Vec<Setting> {
    let mut paths: Vec<&str> = found.places.iter().map(|(pattern, _)| pattern.as_str()).collect();
    if paths.is_empty() {
        paths = PATHS_DEFAULT.to_vec();
    }
    let paths: Vec<String> = paths.into_iter().map(quoted).collect();
    let set = |section, key, value| Setting { section, key, value };
    let mut settings = vec![
        set("broker", "url", quoted(BROKER_TO_SET)),
        set("source", "type", quoted("file")),
        set("source", "paths", format!("[{}]", paths.join(", "))),
    ];
    settings.extend(state_dir.map(|path| set("", "state_dir", quoted(path))));
    let free =
        room.map(|room| room.free_bytes + spool_bytes(Path::new(state_dir.unwrap_or(STATE_DIR_DEFAULT))));
    if let Some((bulk, urgent)) = free.and_then(shares) {
        settings.push(set("spool.bulk", "bytes_max", bulk.to_string()));
        settings.push(set("spool.urgent", "bytes_max", urgent.to_string()));
    }
    settings
}

/// The sizes of the lanes where the flash is too small for the default ones.
fn shares(free: u64) -> Option<(u64, u64)> {
    let most = free / PART_OF_FREE;
    (most < SPOOL_BYTES).then(|| {
        let urgent = (most / 16 / MIB * MIB).clamp(MIB, 16 * MIB);
        let bulk = most.saturating_sub(urgent) / MIB * MIB;
        (bulk.max(MIB), urgent)
    })
}

/// Text of which nothing needs escaping.
fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

fn put(file: &Path, text: &str, is_forced: bool) -> io::Result<()> {
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    }
    if is_forced && file.symlink_metadata().is_ok() {
        let mut old = file.as_os_str().to_owned();
        old.push(".old");
        fs::rename(file, PathBuf::from(old))?;
    }
    let mut new = OpenOptions::new().write(true).create_new(true).open(file)?;
    new.write_all(text.as_bytes()).and_then(|()| new.sync_all()).inspect_err(|_| {
        // Half a configuration would stand in the way of the next try.
        let _ = fs::remove_file(file);
    })
}

/// What was found, and what to do next.
fn told(file: &Path, config: &Config, found: &Usual, room: Option<&Room>) -> String {
    let mut text = format!("wrote    {}\ndevice   {}\n", file.display(), config.device_id);
    text.push_str(&spool_line(config, room));
    // Writing to a String does not fail.
    for (pattern, count) in &found.places {
        let _ = writeln!(text, "source   {pattern}: {}", files(*count));
    }
    if found.places.is_empty() {
        text.push_str(
            "source   no log is there to be read now; written are the usual places\n         \
             Debian: install rsyslog; OpenWrt: uci set system.@system[0].log_file=/tmp/messages\n",
        );
    }
    let failures = &found.failures;
    for failure in failures.iter().take(PATHS_SHOWN) {
        let _ = writeln!(text, "left out {failure}");
    }
    if failures.len() > PATHS_SHOWN {
        let _ = writeln!(text, "left out {} more", failures.len() - PATHS_SHOWN);
    }
    let option = if file == Path::new(super::CONFIG_DEFAULT) {
        String::new()
    } else {
        format!(" --config {}", file.display())
    };
    let _ = write!(
        text,
        "next:\n  1. set url in [broker], and username, password_file and ca_file where the broker wants them\n  \
         2. driftlog-agent check --online{option}\n  3. driftlog-agent run{option}, or start the service\n"
    );
    text
}

fn spool_line(config: &Config, room: Option<&Room>) -> String {
    let (state_dir, lanes) = (config.state_dir.display(), &config.spool);
    let most = bytes(lanes.bulk.bytes_max + lanes.urgent.bytes_max);
    let Some(room) = room else { return format!("spool    {state_dir}, up to {most}\n") };
    let free = bytes(room.free_bytes);
    let memory = if room.is_memory {
        "         it lies in memory, and a power cut takes it: set state_dir to where there is flash\n"
    } else {
        ""
    };
    format!("spool    {state_dir}, up to {most} of the {free} that are free there\n{memory}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SimFiles;

    #[test]
    fn what_is_written_is_a_valid_configuration_whatever_was_found() {
        let world = SimFiles::default();
        let file = Path::new("agent.toml");
        for paths in [&[][..], &["/var/log/syslog", "/var/log/nginx/error.log"]] {
            paths.iter().for_each(|path| world.append(path, b""));
            let found = usual(&mut world.clone());
            let room = Room { free_bytes: 20 * MIB, is_memory: false };
            let settings = settings(&found, Some("/overlay/driftlog"), Some(&room));
            let (text, config) = written(file, settings).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(Config::parse_here(file, &text).unwrap(), config);
            assert_eq!(config.state_dir, Path::new("/overlay/driftlog"));
            assert_eq!(config.spool.bulk.bytes_max + config.spool.urgent.bytes_max, 10 * MIB);
            let read: Vec<&str> = config.file_patterns().collect();
            let expected = if paths.is_empty() {
                &PATHS_DEFAULT[..]
            } else {
                &["/var/log/syslog*", "/var/log/nginx/*.log*"]
            };
            assert_eq!(read, expected);
            let told = told(file, &config, &found, Some(&room));
            assert!(
                told.contains("spool    /overlay/driftlog, up to 10 MiB of the 20 MiB that are free there\n"),
                "{told}"
            );
            assert_eq!(told.contains("no log is there"), paths.is_empty(), "{told}");
        }
    }

    #[test]
    fn a_spool_takes_half_of_what_is_free_between_its_least_and_its_default() {
        assert_eq!(shares(2 * SPOOL_BYTES), None);
        assert_eq!(shares(2 * SPOOL_BYTES - 2), Some((255 * MIB, 16 * MIB)));
        assert_eq!(shares(64 * MIB), Some((30 * MIB, 2 * MIB)));
        assert_eq!(shares(0), Some((MIB, MIB)));
    }

    #[test]
    fn a_name_that_is_made_up_is_one_that_the_wire_carries_and_stays_the_same() {
        let name = made_up_name();
        assert!(driftlog_proto::ids::DeviceId::new(&name).is_ok(), "{name}");
        if identity::hardware() != 0 {
            assert_eq!(name, made_up_name());
        }
    }
}
