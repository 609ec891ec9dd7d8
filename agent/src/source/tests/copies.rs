//! Copies of files of which little, or nothing durable, was read.

use super::*;

/// Where times of birth are not known 256 bytes had to agree, and a smaller copy was read again.
#[test]
fn a_small_copy_is_not_read_again_where_times_of_birth_are_not_known() {
    for (sees_both, stops) in [(false, false), (true, false), (false, true)] {
        let mut rig = rig(&["/log/**"]);
        rig.files.keep_births(false);
        for generation in 1..5 {
            rig.files.append("/log/a.log", &lines("line", generation..generation + 2));
            rig.drain();
            rig.files.copy("/log/a.log", &format!("/log/a.log.{generation}"), usize::MAX);
            if sees_both {
                rig.drain();
            }
            if stops {
                rig.kill();
            }
            rig.files.truncate("/log/a.log", 0);
            if stops {
                rig.start();
            }
            rig.drain();
        }
        let each: Vec<Vec<u8>> = (1..5).map(|generation| lines("line", generation..generation + 2)).collect();
        rig.assert_contents(&each.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }
}

#[test]
fn a_file_from_before_that_looks_like_a_copy_is_read_where_times_of_birth_are_not_known() {
    let mut rig = rig(&["/log/**"]);
    rig.files.keep_births(false);
    rig.files.append("/log/a.log.1", &lines("same", 0..1));
    rig.files.append("/log/a.log", &lines("same", 0..3));
    rig.drain();
    rig.assert_contents(&[&lines("same", 0..1), &lines("same", 0..3)]);
}

/// Of a file that was removed its first 19 bytes were known, as a part of a line: another that began with
/// them was read from there on under its key, and its own first bytes never came.
#[test]
fn a_file_that_begins_like_one_that_was_removed_is_not_taken_for_its_copy() {
    for (pattern, is_read) in [("/log/**", true), ("/log/*.log", false)] {
        let mut rig = rig(&[pattern]);
        rig.files.append("/log/a.log", b"WARN device-0.1 000");
        rig.drain();
        rig.kill();
        rig.files.remove("/log/a.log");
        rig.files.append("/log/a.log.1", b"WARN device-0.1 0007 of another\n");
        rig.start();
        rig.drain();
        let all: [&[u8]; 2] = [b"WARN device-0.1 000", b"WARN device-0.1 0007 of another\n"];
        rig.assert_contents(&all[..1 + usize::from(is_read)]);
    }
}

/// As above, and its inode is given to the other. That it had lost what was read of it had been seen.
#[test]
fn a_file_that_gets_the_inode_of_one_that_was_emptied_and_removed_is_read_from_its_beginning() {
    for is_seen_running in [true, false] {
        let mut rig = rig(&["/log/*.log"]);
        rig.files.keep_births(false);
        rig.files.append("/log/a.log", b"WARN device-0.1 000");
        rig.drain();
        if !is_seen_running {
            rig.kill();
        }
        rig.files.truncate("/log/a.log", 0);
        if !is_seen_running {
            rig.start();
        }
        rig.drain();
        rig.files.remove("/log/a.log");
        rig.drain();
        rig.pass_ms(20_000);
        rig.drain();
        rig.files.append("/log/a.log", b"WARN device-0.1 0007 of another\n");
        rig.drain();
        rig.assert_contents(&[b"WARN device-0.1 000", b"WARN device-0.1 0007 of another\n"]);
    }
}

/// A file whose first lines were polled and whose first cursor alone is durable, as when the power
/// goes between the urgent lane's seal and the bulk lane's. Returns its key.
fn placed(rig: &mut Rig<SimFiles>, content: &[u8]) -> u64 {
    rig.files.append("/log/a.log", content);
    assert!(rig.poll(usize::MAX) > 0);
    let key = rig.open_block[0].file;
    let cursors = &mut rig.cursors;
    rig.sources.as_mut().unwrap().first_cursors(
        |file| file == key,
        |key, bytes| {
            cursors.insert(key, bytes.to_vec());
        },
    );
    rig.reboot();
    key
}

#[test]
fn the_copy_of_a_file_that_has_only_a_first_cursor_has_its_key() {
    for births in [true, false] {
        let mut rig = rig(&["/log/**"]);
        rig.files.keep_births(births);
        let key = placed(&mut rig, &lines("old", 0..3));
        rig.files.copy("/log/a.log", "/log/a.log.1", usize::MAX);
        rig.files.truncate("/log/a.log", 0);
        rig.files.append("/log/a.log", &lines("new", 0..2));
        rig.start();
        rig.drain();
        rig.assert_contents(&[&lines("old", 0..3), &lines("new", 0..2)]);
        let old = rig.contents().into_iter().find(|(_, bytes)| bytes.starts_with(b"old")).unwrap();
        assert_eq!(old.0, key, "lines that the urgent lane has are known by the key");
    }
}

#[test]
fn a_file_that_has_only_a_first_cursor_is_read_from_its_beginning_under_its_key() {
    let mut rig = rig(&["/log/**"]);
    let key = placed(&mut rig, &lines("old", 0..3));
    rig.files.append("/log/a.log", &lines("old", 3..5));
    rig.start();
    rig.drain();
    assert_eq!(rig.contents(), [(key, lines("old", 0..5))]);
    assert!(rig.notices.is_empty(), "{:?}", rig.notices);
}

/// What the urgent lane had of the old bytes would have hidden as many of the new ones.
#[test]
fn a_file_that_begins_again_with_the_same_line_has_another_key_than_its_first_cursor() {
    let mut rig = rig(&["/log/**"]);
    let key = placed(&mut rig, &lines("same", 0..3));
    rig.files.truncate("/log/a.log", 0);
    rig.files.append("/log/a.log", b"same 0\nother\n");
    rig.start();
    rig.drain();
    rig.assert_contents(&[b"same 0\nother\n"]);
    assert_ne!(rig.sealed[0].file, key);
}
