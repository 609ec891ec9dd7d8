//! The same on the real file system.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::*;

struct Dir(tempfile::TempDir);

impl Dir {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn append(&self, name: &str, bytes: &[u8]) {
        let mut file = OpenOptions::new().append(true).create(true).open(self.path(name)).unwrap();
        file.write_all(bytes).unwrap();
    }

    fn rig(&self, pattern: &str) -> Rig<OsFiles> {
        let pattern = self.path(pattern);
        Rig::new(OsFiles, config(&[pattern.to_str().unwrap()], &[]))
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }
}

fn dir() -> Dir {
    Dir(tempfile::tempdir().unwrap())
}

#[test]
fn files_are_found_looked_at_and_read() {
    let dir = dir();
    dir.append("a.log", b"hello");
    fs::create_dir(dir.path("sub")).unwrap();
    symlink(dir.path("a.log"), dir.path("link.log")).unwrap();
    let mut files = OsFiles;
    let mut names = Vec::new();
    let root = dir.0.path().to_str().unwrap();
    files.list(root, &mut |name, kind| names.push((name.unwrap().to_owned(), kind))).unwrap();
    names.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = [("a.log", Kind::File), ("link.log", Kind::Link), ("sub", Kind::Directory)];
    assert_eq!(names, expected.map(|(name, kind)| (name.to_owned(), kind)));
    let path = dir.path("link.log");
    let stat = files.stat(path.to_str().unwrap()).unwrap();
    let handle = files.open(path.to_str().unwrap()).unwrap();
    assert_eq!((stat.kind, stat.len, stat.links), (Kind::File, 5, 1));
    assert_eq!(files.stat_open(&handle).unwrap(), stat);
    let mut buf = [0; 10];
    assert_eq!(files.read_at(&handle, 1, &mut buf).unwrap(), 4);
    assert_eq!(&buf[..4], b"ello");
    assert_eq!(files.read_at(&handle, 5, &mut buf).unwrap(), 0);
    fs::remove_file(dir.path("a.log")).unwrap();
    assert_eq!(files.stat_open(&handle).unwrap().links, 0);
}

#[test]
fn what_is_missing_or_no_file_is_refused_with_a_reason() {
    let dir = dir();
    let missing = dir.path("none").to_str().unwrap().to_owned();
    let error = OsFiles.open(&missing).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot open {missing}: there is no such file or directory"));
    assert_eq!(OsFiles.stat(&missing).unwrap_err().cause, FileErrorCause::NotFound);
    assert_eq!(OsFiles.list(&missing, &mut |_, _| {}).unwrap_err().cause, FileErrorCause::NotFound);
    let root = dir.0.path().to_str().unwrap();
    assert_eq!(OsFiles.open(root).unwrap_err().cause, FileErrorCause::NotAFile);
}

#[test]
fn a_pipe_in_the_place_of_a_file_is_not_waited_for() {
    let dir = dir();
    let path = dir.path("pipe.log");
    let pipe = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &path, pipe, 0o600.into(), 0).unwrap();
    assert_eq!(OsFiles.open(path.to_str().unwrap()).unwrap_err().cause, FileErrorCause::NotAFile);
    let mut rig = dir.rig("*.log");
    rig.drain();
    assert!(rig.sealed.is_empty());
}

#[test]
fn a_name_that_is_not_text_is_reported_and_the_others_are_read() {
    use std::os::unix::ffi::OsStrExt;
    let dir = dir();
    fs::write(dir.0.path().join(Path::new(std::ffi::OsStr::from_bytes(b"\xff.log"))), b"x\n").unwrap();
    dir.append("a.log", b"one\n");
    let mut rig = dir.rig("*.log");
    rig.drain();
    rig.assert_contents(&[b"one\n"]);
    assert_eq!(rig.said(SourceNoticeKind::Unreadable), 1, "{:?}", rig.notices);
}

/// Runs a case with the agent up, and again with it down while the files change.
fn each_way(pattern: &str, change: impl Fn(&Dir), expected: &[&[u8]]) {
    for is_down in [false, true] {
        let dir = dir();
        let mut rig = dir.rig(pattern);
        dir.append("a.log", &lines("old", 0..100));
        rig.poll(50);
        rig.seal();
        if is_down {
            rig.poll(20);
            rig.kill();
        }
        change(&dir);
        if is_down {
            rig.start();
        }
        rig.drain();
        rig.assert_contents(expected);
        rig.restart();
        rig.drain();
        rig.assert_contents(expected);
    }
}

#[test]
fn rotation_by_renaming() {
    let change = |dir: &Dir| {
        dir.append("a.log", &lines("old", 100..110));
        dir.rename("a.log", "a.log.1");
        dir.append("a.log", &lines("new", 0..10));
    };
    let expected: [&[u8]; 2] = [&lines("old", 0..110), &lines("new", 0..10)];
    each_way("*.log", change, &expected);
    each_way("*", change, &expected);
}

#[test]
fn rotation_by_copying_and_truncating() {
    let change = |dir: &Dir| {
        dir.append("a.log", &lines("old", 100..110));
        fs::copy(dir.path("a.log"), dir.path("a.log.1")).unwrap();
        File::options().write(true).open(dir.path("a.log")).unwrap().set_len(0).unwrap();
        dir.append("a.log", &lines("new", 0..10));
    };
    let expected: [&[u8]; 2] = [&lines("old", 0..110), &lines("new", 0..10)];
    each_way("*.log", change, &expected);
    each_way("*", change, &expected);
}

#[test]
fn growth_and_an_unfinished_last_line() {
    let change = |dir: &Dir| dir.append("a.log", b"binary \x00\xff\r\n\nunfinished");
    let mut expected = lines("old", 0..100);
    expected.extend_from_slice(b"binary \x00\xff\r\n\nunfinished");
    each_way("*.log", change, &[&expected]);
}

#[test]
fn files_that_appear_in_directories_that_appear() {
    let change = |dir: &Dir| {
        fs::create_dir_all(dir.path("deep/er")).unwrap();
        dir.append("deep/er/b.log", &lines("b", 0..10));
    };
    each_way("**/*.log", change, &[&lines("old", 0..100), &lines("b", 0..10)]);
}

#[test]
fn a_file_deleted_while_open_is_read_to_its_end() {
    let dir = dir();
    let mut rig = dir.rig("*.log");
    dir.append("a.log", &lines("old", 0..10));
    rig.drain();
    dir.append("a.log", &lines("old", 10..20));
    fs::remove_file(dir.path("a.log")).unwrap();
    dir.append("a.log", &lines("new", 0..30));
    rig.drain();
    rig.assert_contents(&[&lines("old", 0..20), &lines("new", 0..30)]);
    assert_eq!(rig.cursors.len(), 1);
}

#[test]
fn an_inode_given_out_again_while_the_agent_was_down_is_another_file() {
    let dir = dir();
    let mut rig = dir.rig("*.log");
    dir.append("a.log", &lines("old", 0..10));
    rig.drain();
    rig.kill();
    fs::remove_file(dir.path("a.log")).unwrap();
    // Most file systems give the inode to the next file.
    dir.append("a.log", &lines("new", 0..30));
    rig.start();
    rig.drain();
    rig.assert_contents(&[&lines("old", 0..10), &lines("new", 0..30)]);
}

#[test]
fn a_large_file_is_read_bit_by_bit() {
    let dir = dir();
    let mut content = Vec::new();
    let mut seed = 7u64;
    while content.len() < 3_000_000 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let line = 1 + (seed >> 33) as usize % if seed >> 61 == 0 { 100_000 } else { 200 };
        content.extend((0..line).map(|n| match (n as u64).wrapping_mul(seed) >> 40 {
            b if b as u8 == b'\n' => b' ',
            b => b as u8,
        }));
        content.push(b'\n');
    }
    dir.append("a.log", &content);
    let mut rig = dir.rig("*.log");
    rig.drain();
    let contents = rig.contents();
    assert_eq!(contents.len(), 1);
    assert!(contents[0].1 == content);
}
