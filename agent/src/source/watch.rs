//! Wakes the agent when a watched directory changes (inotify). A hint only: what has changed, the
//! sources find out by looking, and they look anyway in their own time; so an event that is lost, a
//! directory that cannot be watched or a kernel without inotify costs delay and nothing else.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::time::sleep;

/// Directories that are watched; what lies beyond is found by looking.
pub const DIRECTORIES_MAX: usize = 256;
/// Changes within this are one.
const GATHER: Duration = Duration::from_millis(10);

/// Roots that did not exist, or do again, are watched after this.
const REFRESH: Duration = Duration::from_secs(30);

/// Watches the directories in which the files of some patterns lie.
#[derive(Debug)]
pub struct Watch {
    inotify: Option<AsyncFd<OwnedFd>>,
    /// Where each pattern begins, and whether its files may lie deeper.
    roots: Vec<(PathBuf, bool)>,
    /// By watch descriptor; a deep one brings its subdirectories in.
    directories: HashMap<i32, (PathBuf, bool)>,
    /// Some directory that is there is not watched.
    is_partial: bool,
}

impl Watch {
    /// Watches the directories of these glob patterns, as far as they exist; on the current runtime.
    #[must_use]
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Self {
        let flags = CreateFlags::NONBLOCK | CreateFlags::CLOEXEC;
        #[expect(
            deprecated,
            reason = "its unsound use needs a type that can change its descriptor; an OwnedFd cannot"
        )]
        let inotify = inotify::init(flags).ok().and_then(|fd| AsyncFd::new(fd).ok());
        if inotify.is_none() {
            log::info!("this kernel has no inotify to give: files are looked at once a second");
        }
        let roots = patterns.into_iter().map(root_of).collect();
        let mut watch = Self { inotify, roots, directories: HashMap::new(), is_partial: false };
        watch.add_roots();
        watch
    }

    /// Whether every directory that is there is watched.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.inotify.is_some() && !self.is_partial
    }

    /// Waits until something has changed. Without inotify, for ever. May be dropped at any time.
    pub async fn changed(&mut self) {
        loop {
            let Some(inotify) = &self.inotify else { return std::future::pending().await };
            tokio::select! {
                readable = inotify.readable() => if readable.is_err() {
                    return std::future::pending().await;
                },
                () = sleep(REFRESH) => {
                    self.add_roots();
                    continue;
                }
            }
            sleep(GATHER).await;
            // Asked again, so that what came in the meantime is cleared too.
            let Ok(mut readable) = inotify.readable().await else { continue };
            let seen = Seen::read(readable.get_inner(), &self.directories);
            readable.clear_ready();
            for descriptor in seen.gone {
                self.directories.remove(&descriptor);
            }
            for directory in seen.appeared {
                self.add(&directory, true);
            }
            return;
        }
    }

    fn add_roots(&mut self) {
        for (directory, is_deep) in self.roots.clone() {
            self.add(&directory, is_deep);
        }
    }

    fn add(&mut self, directory: &Path, is_deep: bool) {
        let Some(inotify) = &self.inotify else { return };
        if self.directories.len() >= DIRECTORIES_MAX {
            self.is_partial = true;
            log::info!(
                "more than {DIRECTORIES_MAX} directories: files in the others are looked at once a second"
            );
            return;
        }
        let flags = WatchFlags::MODIFY
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::ONLYDIR;
        let descriptor = match inotify::add_watch(inotify.get_ref(), directory, flags) {
            Ok(descriptor) => descriptor,
            // What comes to be there is watched at the next refresh.
            Err(Errno::NOENT | Errno::NOTDIR) => return,
            Err(_) => {
                self.is_partial = true;
                return;
            }
        };
        let known = self.directories.get(&descriptor).is_some_and(|(_, deep)| *deep);
        self.directories.insert(descriptor, (directory.to_owned(), is_deep || known));
        if !is_deep || known {
            return;
        }
        let Ok(entries) = fs::read_dir(directory) else { return };
        for entry in entries.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.add(&entry.path(), true);
            }
        }
    }
}

/// What the events of one wake-up say about directories.
#[derive(Debug, Default)]
struct Seen {
    appeared: Vec<PathBuf>,
    gone: Vec<i32>,
}

impl Seen {
    /// Reads all events that there are.
    fn read(inotify: &OwnedFd, directories: &HashMap<i32, (PathBuf, bool)>) -> Self {
        let mut seen = Self::default();
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(inotify, &mut buffer);
        while let Ok(event) = reader.next() {
            let kind = event.events();
            if kind.contains(ReadFlags::IGNORED) {
                seen.gone.push(event.wd());
            } else if kind.contains(ReadFlags::ISDIR)
                && kind.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO)
                && let Some((parent, true)) = directories.get(&event.wd())
                && let Some(name) = event.file_name()
            {
                seen.appeared.push(parent.join(OsStr::from_bytes(name.to_bytes())));
            }
        }
        seen
    }
}

/// Where a pattern begins, and whether its files may lie deeper than there.
fn root_of(pattern: &str) -> (PathBuf, bool) {
    let parts: Vec<_> = pattern.split('/').collect();
    let has_magic = |part: &&str| part.contains(['*', '?', '[']);
    let first = parts.iter().position(has_magic).unwrap_or(parts.len() - 1);
    let root = parts[..first].join("/");
    let root = if root.is_empty() { PathBuf::from("/") } else { PathBuf::from(root) };
    let is_deep = parts.len() - first > 1 || parts[first] == "**";
    (root, is_deep)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_begins_where_its_last_plain_directory_is() {
        let root = |pattern| root_of(pattern);
        assert_eq!(root("/var/log/syslog"), ("/var/log".into(), false));
        assert_eq!(root("/var/log/*.log"), ("/var/log".into(), false));
        assert_eq!(root("/var/log/app/**"), ("/var/log/app".into(), true));
        assert_eq!(root("/var/log/*/current"), ("/var/log".into(), true));
        assert_eq!(root("/srv/**/x[0-9].log"), ("/srv".into(), true));
        assert_eq!(root("/*.log"), ("/".into(), false));
    }

    #[tokio::test]
    async fn a_line_a_new_file_and_a_file_in_a_new_directory_each_wake_the_agent() {
        let dir = tempfile::tempdir().unwrap();
        let pattern = format!("{}/**", dir.path().display());
        let file = dir.path().join("a.log");
        let mut watch = Watch::new([pattern.as_str()]);
        assert!(watch.is_complete());
        fs::write(&file, "new\n").unwrap();
        watch.changed().await;
        fs::write(&file, "longer\n").unwrap();
        watch.changed().await;
        let below = dir.path().join("below/deeper");
        fs::create_dir_all(&below).unwrap();
        watch.changed().await;
        fs::write(below.join("b.log"), "x\n").unwrap();
        watch.changed().await;
        assert_eq!(watch.directories.len(), 3);
        fs::remove_dir_all(dir.path().join("below")).unwrap();
        watch.changed().await;
        assert_eq!(watch.directories.len(), 1, "what is gone takes no room");
    }

    #[tokio::test]
    async fn more_directories_than_the_bound_are_left_to_looking() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..=DIRECTORIES_MAX {
            fs::create_dir(dir.path().join(number.to_string())).unwrap();
        }
        let pattern = format!("{}/**/*.log", dir.path().display());
        let watch = Watch::new([pattern.as_str()]);
        assert_eq!((watch.directories.len(), watch.is_complete()), (DIRECTORIES_MAX, false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_directory_that_appears_later_is_watched_at_the_next_refresh() {
        let dir = tempfile::tempdir().unwrap();
        let later = dir.path().join("later");
        let mut watch = Watch::new([format!("{}/*.log", later.display()).as_str()]);
        assert!(watch.directories.is_empty());
        fs::create_dir(&later).unwrap();
        let changed = tokio::time::timeout(REFRESH + GATHER, watch.changed());
        assert!(changed.await.is_err(), "nothing was written yet");
        assert_eq!(watch.directories.len(), 1);
    }
}
