//! The spool: whether this user may write it, whether it has the room that it may take, whose it is.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use driftlog_proto::ids::Lane;
use rustix::fs::{Access, access};

use super::super::room::{Room, lane_folders, spool_bytes};
use super::super::status::bytes;
use super::{Finding, Running};
use crate::config::{Config, Durability};
use crate::identity;
use crate::pipeline::SPOOL_FOLDER;
use crate::spool::offline::Offline;
use crate::state_dir::{DEVICE_ID_FILE, LOCK_NAME};

const SUBJECT: &str = "spool";

pub(super) fn look(config: &Config, running: &Running) -> Vec<Finding> {
    let state_dir = &config.state_dir;
    let mut findings = Vec::new();
    findings.extend(unwritable(state_dir));
    match Room::of(state_dir) {
        Ok(room) => {
            findings.extend(volatile(config, &room));
            findings.push(roomy(config, &room));
        }
        Err(error) => {
            let what = format!("{} cannot be looked at: {error}", state_dir.display());
            findings.push(Finding::wrong(SUBJECT, what, "set state_dir to a directory on flash"));
        }
    }
    match running {
        Running::Yes(status) => {
            findings.push(Finding::right(
                SUBJECT,
                format!("in use by the agent that runs, process {}", status.process),
            ));
        }
        Running::No => findings.extend(lane_folders(state_dir).filter_map(|folder| content(&folder))),
        Running::Unknown(error) => {
            let what =
                format!("an agent may be running in {}, and does not answer: {error}", state_dir.display());
            findings.push(Finding::note(SUBJECT, what, "check as the agent's user, or as root"));
        }
    }
    findings
}

/// The first of what is there, or the directory in which it is to be made, that this user may not write.
fn unwritable(state_dir: &Path) -> Option<Finding> {
    let hint = "it must belong to the agent's user: chown -R USER state_dir";
    let failed = |path: &Path, error: io::Error| {
        Finding::wrong(SUBJECT, format!("{} cannot be written: {error}", path.display()), hint)
    };
    if !state_dir.exists() {
        return unmakeable(state_dir);
    }
    let folder = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    let files = [LOCK_NAME, DEVICE_ID_FILE].map(|name| state_dir.join(name));
    let folders =
        [state_dir.to_owned(), state_dir.join(SPOOL_FOLDER)].into_iter().chain(lane_folders(state_dir));
    let segments = lane_folders(state_dir).filter_map(|lane| fs::read_dir(lane).ok()).flatten();
    let segments = segments.flatten().map(|entry| entry.path());
    let with = |wanted: Access| move |path: PathBuf| (path, wanted);
    let all = folders
        .map(with(folder))
        .chain(files.into_iter().chain(segments).map(with(Access::READ_OK | Access::WRITE_OK)));
    let refused = all.filter(|(path, _)| path.exists()).find_map(|(path, wanted)| {
        let error = access(&path, wanted).err()?;
        Some(failed(&path, error.into()))
    });
    refused.or_else(|| stranger(state_dir))
}

/// Whether a state directory that is not there could not be made.
fn unmakeable(state_dir: &Path) -> Option<Finding> {
    let above = state_dir.ancestors().find(|folder| folder.exists())?;
    if !above.is_dir() {
        let what = format!("{} cannot be written: it is not a directory", above.display());
        return Some(Finding::wrong(SUBJECT, what, "set state_dir to another path"));
    }
    let error: io::Error = access(above, Access::WRITE_OK | Access::EXEC_OK).err()?.into();
    let (state_dir, above) = (state_dir.display(), above.display());
    let what = format!("{state_dir} is not there and cannot be made in {above}: {error}");
    let hint = format!("make it for the agent's user: install -d -o USER {state_dir}");
    Some(Finding::wrong(SUBJECT, what, hint))
}

/// Root may write everything; whoever else the agent runs as need not.
fn stranger(state_dir: &Path) -> Option<Finding> {
    let owner = fs::metadata(state_dir).ok()?.uid();
    let here = rustix::process::geteuid();
    (here.is_root() && owner != here.as_raw()).then(|| {
        let what = format!("{} belongs to the user {owner}, and root may write it too", state_dir.display());
        Finding::note(SUBJECT, what, "check as that user, who may be allowed less")
    })
}

fn volatile(config: &Config, room: &Room) -> Option<Finding> {
    (room.is_memory && config.spool.durability != Durability::None).then(|| {
        let what =
            format!("{} lies in memory: a power cut takes what was not sent", config.state_dir.display());
        Finding::wrong(
            SUBJECT,
            what,
            "set state_dir to a directory on flash, or durability = \"none\" to have it so",
        )
    })
}

fn roomy(config: &Config, room: &Room) -> Finding {
    let has_urgent = config.spool.urgent_severity_min.is_some();
    let lanes = Lane::ALL.into_iter().filter(|lane| has_urgent || *lane == Lane::Bulk);
    let most: u64 = lanes.map(|lane| config.spool.lane(lane).bytes_max).sum();
    let used = spool_bytes(&config.state_dir);
    let what = format!(
        "{} of {} are used in {}; {} are free there",
        bytes(used),
        bytes(most),
        config.state_dir.display(),
        bytes(room.free_bytes)
    );
    let fits = used.saturating_add(room.free_bytes);
    if most <= fits {
        return Finding::right(SUBJECT, what);
    }
    let hint = format!(
        "make room, or lower bytes_max in [spool.bulk] and [spool.urgent] to {} together",
        bytes(fits)
    );
    Finding::wrong(SUBJECT, what, hint)
}

/// Of a lane that no agent has open.
fn content(folder: &Path) -> Option<Finding> {
    let spool = match Offline::open(folder) {
        Ok(spool) => spool,
        Err(error) => {
            let text = error.to_string();
            let (what, hint) = text
                .split_once("\nhint: ")
                .unwrap_or((text.as_str(), "driftlog-agent spool verify says more"));
            return Some(Finding::wrong(SUBJECT, format!("{}: {what}", folder.display()), hint));
        }
    };
    let is_foreign = spool.hardware().is_some_and(|known| known != identity::hardware());
    is_foreign.then(|| {
        let what = format!("{} was written on other hardware", folder.display());
        Finding::note(
            SUBJECT,
            what,
            "after a board was swapped nothing is to be done; a copy of another device's disk needs a device_id and an empty state_dir of its own",
        )
    })
}
