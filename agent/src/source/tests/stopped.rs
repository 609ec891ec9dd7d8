//! What happened while the agent was down: `kill -9`, restart, reboot, power cut.

use super::*;

/// The saved cursors lie in the middle of what was written.
fn half_read(pattern: &str, births: bool) -> Rig<SimFiles> {
    let mut rig = rig(&[pattern]);
    rig.files.keep_births(births);
    rig.files.append("/log/a.log", &lines("old", 0..200));
    rig.poll(100);
    rig.seal();
    rig.poll(50);
    rig.kill();
    rig
}

/// So often a hundred lines were written, read and sealed, a second apart.
fn read_by_hundreds(pattern: &str, hundreds: u32) -> Rig<SimFiles> {
    let mut rig = rig(&[pattern]);
    for n in 0..hundreds {
        rig.files.append("/log/a.log", &lines("old", n * 100..(n + 1) * 100));
        rig.pass_ms(1_000);
        rig.poll(usize::MAX);
        rig.seal();
    }
    rig
}

fn each_way(case: impl Fn(&mut Rig<SimFiles>, &str)) {
    for pattern in ["/log/*.log", "/log/**"] {
        for births in [true, false] {
            for reboots in [false, true] {
                let mut rig = half_read(pattern, births);
                if reboots {
                    rig.reboot();
                    rig.files.renumber_device(77);
                }
                case(&mut rig, pattern);
            }
        }
    }
}

#[test]
fn lines_that_were_not_sealed_are_read_again_and_no_others() {
    each_way(|rig, _| {
        rig.start();
        rig.drain();
        rig.assert_contents(&[&lines("old", 0..200)]);
        assert!(rig.notices.is_empty());
    });
}

#[test]
fn a_file_that_grew_while_the_agent_was_down_is_read_on() {
    each_way(|rig, _| {
        rig.files.append("/log/a.log", &lines("old", 200..220));
        rig.files.append("/log/b.log", &lines("other", 0..3));
        rig.start();
        rig.drain();
        rig.assert_contents(&[&lines("old", 0..220), &lines("other", 0..3)]);
    });
}

#[test]
fn a_file_renamed_while_the_agent_was_down_is_read_to_its_end_first() {
    each_way(|rig, _| {
        rig.files.append("/log/a.log", &lines("old", 200..205));
        rig.files.rename("/log/a.log", "/log/a.log.1");
        rig.files.append("/log/a.log", &lines("new", 0..5));
        rig.start();
        rig.drain();
        rig.assert_contents(&[&lines("old", 0..205), &lines("new", 0..5)]);
        let first_new = rig.sealed.iter().position(|r| r.body.starts_with(b"new")).unwrap();
        assert!(rig.sealed[first_new..].iter().all(|r| r.body.starts_with(b"new")));
    });
}

/// Power cuts of a virtual device: a line of the new file had gone to the urgent lane, so that it had a cursor at
/// its beginning; then its lines came before the last one of the old file. So they did where the cut took the new
/// file's first lines, and others stand there.
#[test]
fn a_new_file_whose_urgent_line_is_durable_waits_for_the_rest_of_the_old_one_all_the_same() {
    for (is_reboot, is_other) in [(false, false), (true, false), (true, true)] {
        let mut rig = rig(&["/log/a.log*"]);
        rig.files.append("/log/a.log", &lines("old", 0..200));
        rig.drain();
        rig.files.append("/log/a.log", &lines("old", 200..205));
        rig.files.rename("/log/a.log", "/log/a.log.1");
        rig.files.append("/log/a.log", &lines("new", 0..5));
        rig.pass_ms(10_000);
        rig.poll(usize::MAX);
        let mut first = std::mem::take(&mut rig.cursors);
        let known: Vec<u64> = first.keys().copied().collect();
        let is_new = |key: u64| !known.contains(&key);
        rig.sources()
            .first_cursors(is_new, |key, bytes| assert!(first.insert(key, bytes.to_vec()).is_none()));
        assert_eq!(first.len(), 2);
        rig.cursors = first;
        if is_reboot {
            rig.reboot();
        } else {
            rig.kill();
        }
        let new = if is_other { lines("newer", 0..7) } else { lines("new", 0..5) };
        if is_other {
            rig.files.truncate("/log/a.log", 0);
            rig.files.append("/log/a.log", &new);
        }
        rig.start();
        rig.drain();
        rig.assert_contents(&[&lines("old", 0..205), &new]);
        let first_new = rig.sealed.iter().position(|r| r.body.starts_with(b"new")).unwrap();
        assert!(
            rig.sealed[first_new..].iter().all(|r| r.body.starts_with(b"new")),
            "reboot {is_reboot}, other bytes {is_other}"
        );
    }
}

/// Which lines came, by their first word, each once for lines that follow one another.
fn told(rig: &Rig<SimFiles>) -> Vec<String> {
    let first_word =
        |body: &[u8]| String::from_utf8_lossy(body.split(|b| *b == b' ').next().unwrap()).into_owned();
    let mut told: Vec<String> = rig.sealed.iter().map(|record| first_word(&record.body)).collect();
    told.dedup();
    told
}

/// Power cuts of a virtual device that was so busy that its log was rotated twice before the agent looked.
#[test]
fn what_was_rotated_away_unseen_comes_after_the_file_before_it_and_before_the_one_behind_it() {
    for (first, second) in [("/log/a.log.2", "/log/a.log.1"), ("/log/a.log-000009", "/log/a.log-000010")] {
        each_way(|rig, pattern| {
            rig.files.append("/log/a.log", &lines("old", 200..205));
            rig.files.rename("/log/a.log", first);
            rig.pass_ms(10);
            rig.files.append("/log/a.log", &lines("between", 0..5));
            rig.files.rename("/log/a.log", second);
            rig.pass_ms(10);
            rig.files.append("/log/a.log", &lines("new", 0..5));
            rig.start();
            rig.drain();
            if pattern == "/log/**" {
                assert_eq!(told(rig), ["old", "between", "new"], "{second}");
            } else {
                assert_eq!(told(rig), ["old", "new"], "{second}: no pattern leads to it");
            }
        });
    }
}

/// The same: the name that a file got by its rotation was durable in its cursor when the power went.
#[test]
fn a_file_whose_new_name_is_known_is_read_to_its_end_before_its_successor_is_begun() {
    for is_reboot in [false, true] {
        let mut rig = rig(&["/log/**"]);
        rig.files.append("/log/a.log", &lines("old", 0..20));
        rig.drain();
        rig.files.rename("/log/a.log", "/log/a.log.1");
        rig.drain();
        rig.files.append("/log/a.log.1", &lines("rest", 0..2_000));
        rig.files.append("/log/a.log", &lines("new", 0..5));
        if is_reboot {
            rig.reboot();
        } else {
            rig.kill();
        }
        rig.start();
        rig.drain();
        assert_eq!(told(&rig), ["old", "rest", "new"], "reboot {is_reboot}");
    }
}

#[test]
fn what_a_power_cut_made_shorter_and_was_rotated_away_comes_before_its_successor_too() {
    let mut rig = read_by_hundreds("/log/**", 20);
    let len = rig.files.content("/log/a.log").unwrap().len();
    rig.reboot();
    rig.files.rename("/log/a.log", "/log/a.log.1");
    rig.files.truncate("/log/a.log.1", len - 500);
    rig.files.append("/log/a.log.1", b"\n");
    rig.files.append("/log/a.log.1", &lines("rest", 0..50));
    rig.files.append("/log/a.log", &lines("new", 0..5));
    rig.start();
    rig.drain();
    assert_eq!(rig.said(SourceNoticeKind::Shorter), 1, "{:?}", rig.notices);
    let told = told(&rig);
    assert_eq!(told[told.len() - 2..], ["rest", "new"], "{told:?}");
}

#[test]
fn a_file_renamed_twice_while_the_agent_was_down_is_found() {
    each_way(|rig, pattern| {
        rig.files.rename("/log/a.log", "/log/a.log.1");
        rig.files.append("/log/a.log", &lines("between", 0..5));
        rig.files.rename("/log/a.log.1", "/log/a.log.2");
        rig.files.rename("/log/a.log", "/log/a.log.1");
        rig.files.append("/log/a.log", &lines("new", 0..5));
        rig.start();
        rig.drain();
        let (old, between, new) = (lines("old", 0..200), lines("between", 0..5), lines("new", 0..5));
        if pattern == "/log/**" {
            rig.assert_contents(&[&old, &between, &new]);
        } else {
            // No pattern ever led to what came and went in between.
            rig.assert_contents(&[&old, &new]);
        }
    });
}

#[test]
fn a_file_copied_and_truncated_while_the_agent_was_down_is_read_on_in_the_copy() {
    each_way(|rig, _| {
        rig.files.copy("/log/a.log", "/log/a.log.1", usize::MAX);
        rig.files.truncate("/log/a.log", 0);
        rig.files.append("/log/a.log", &lines("new", 0..5));
        rig.start();
        rig.drain();
        rig.assert_contents(&[&lines("old", 0..200), &lines("new", 0..5)]);
        assert_eq!(rig.said(SourceNoticeKind::Truncated), 1, "{:?}", rig.notices);
        rig.restart();
        rig.drain();
        rig.assert_contents(&[&lines("old", 0..200), &lines("new", 0..5)]);
    });
}

#[test]
fn a_truncated_file_that_has_grown_past_the_cursor_is_known_by_its_bytes() {
    each_way(|rig, _| {
        rig.files.truncate("/log/a.log", 0);
        rig.files.append("/log/a.log", &lines("new", 0..500));
        rig.start();
        rig.drain();
        let read = lines("old", 0..100);
        rig.assert_contents(&[&read, &lines("new", 0..500)]);
        assert_eq!(rig.said(SourceNoticeKind::Truncated), 1);
    });
}

#[test]
fn a_file_deleted_and_made_again_with_its_inode_is_another_file() {
    each_way(|rig, _| {
        rig.files.remove("/log/a.log");
        rig.files.append("/log/a.log", &lines("new", 0..300));
        rig.start();
        rig.drain();
        rig.assert_contents(&[&lines("old", 0..100), &lines("new", 0..300)]);
    });
}

#[test]
fn a_file_deleted_while_the_agent_was_down_is_said_to_be_gone_and_forgotten() {
    each_way(|rig, _| {
        rig.files.remove("/log/a.log");
        rig.start();
        rig.drain();
        assert_eq!(rig.cursors.len(), 1, "it may come back");
        rig.pass_ms(table::CLOSED_WAIT_MS);
        rig.drain();
        assert_eq!(rig.said(SourceNoticeKind::Gone), 1);
        assert!(rig.cursors.is_empty());
    });
}

#[test]
fn a_file_system_that_is_mounted_late_is_not_read_again() {
    let mut rig = half_read("/log/**", true);
    let content = rig.files.content("/log/a.log").unwrap();
    rig.files.rename("/log/a.log", "/elsewhere/a.log");
    rig.start();
    rig.drain();
    rig.files.rename("/elsewhere/a.log", "/log/a.log");
    rig.drain();
    rig.assert_contents(&[&content]);
}

#[test]
fn files_that_appeared_while_the_agent_was_down_are_read_from_the_beginning() {
    each_way(|rig, _| {
        rig.files.append("/log/b.log", &lines("b", 0..5));
        rig.start();
        rig.drain();
        rig.assert_contents(&[&lines("old", 0..200), &lines("b", 0..5)]);
    });
}

#[test]
fn a_file_moved_to_another_file_system_is_read_on() {
    let mut rig = rig(&["/log/**"]);
    rig.files.keep_births(false);
    let content = lines("old", 0..1_000);
    rig.files.append("/log/a.log", &content);
    rig.poll(500);
    rig.seal();
    rig.kill();
    rig.files.remove("/log/a.log");
    rig.files.append("/log/b.log", b"takes its inode\n");
    rig.files.append("/log/a.log", &content);
    rig.start();
    rig.drain();
    rig.assert_contents(&[&content, b"takes its inode\n"]);
}

#[test]
fn after_a_power_cut_a_shorter_file_is_read_on_at_the_last_boundary_that_agrees() {
    let mut rig = read_by_hundreds("/log/*.log", 100);
    let written = rig.files.content("/log/a.log").unwrap();
    let read = rig.sealed.len();
    rig.reboot();
    let left = written.len() - 3_000;
    rig.files.truncate("/log/a.log", left);
    rig.files.append("/log/a.log", b"torn\n");
    rig.files.append("/log/a.log", &lines("new", 0..1_000));
    rig.start();
    rig.drain();
    assert_eq!(rig.said(SourceNoticeKind::Shorter), 1, "{:?}", rig.notices);
    let after: Vec<u8> =
        rig.sealed[read..].iter().flat_map(|r| [r.body.as_slice(), b"\n"].concat()).collect();
    let mut rest = written[..left].to_vec();
    rest.extend_from_slice(b"torn\n");
    rest.extend(lines("new", 0..1_000));
    assert!(rest.ends_with(&after), "what comes after is a suffix of the file");
    assert!(after.len() >= rest.len() - left, "everything new is in it");
    let repeated = after.len() - (rest.len() - left);
    assert!(repeated < 4_000, "{repeated} bytes repeat");
    let first = &rig.sealed[read];
    assert_ne!(first.file, rig.sealed[0].file, "other bytes may follow, so it has another key");
    rig.restart();
    rig.drain();
    assert_eq!(rig.sealed.len(), read + after.iter().filter(|b| **b == b'\n').count());
}

#[test]
fn a_copy_of_a_file_that_a_power_cut_made_shorter_is_read_on_where_that_went_on() {
    let mut rig = read_by_hundreds("/log/**", 20);
    rig.reboot();
    rig.files.truncate("/log/a.log", 10_000);
    rig.start();
    rig.files.append("/log/a.log", b"\nnew\n");
    rig.drain();
    let read = rig.sealed.len();
    rig.files.copy("/log/a.log", "/log/a.log.1", usize::MAX);
    rig.files.truncate("/log/a.log", 0);
    rig.drain();
    assert_eq!(rig.sealed.len(), read, "nothing is read again");
}

#[test]
fn after_a_power_cut_a_file_whose_end_became_zeros_is_read_on_before_them() {
    let mut rig = read_by_hundreds("/log/*.log", 20);
    let len = rig.files.content("/log/a.log").unwrap().len();
    rig.reboot();
    rig.files.truncate("/log/a.log", len - 500);
    rig.files.append("/log/a.log", &[0; 500]);
    rig.files.append("/log/a.log", b"\nnew\n");
    rig.start();
    rig.drain();
    assert_eq!(rig.said(SourceNoticeKind::Shorter), 1);
    assert_eq!(rig.sealed.last().unwrap().body, b"new");
}

#[test]
fn a_file_that_is_empty_after_a_power_cut_begins_again() {
    let mut rig = half_read("/log/*.log", true);
    rig.reboot();
    rig.files.truncate("/log/a.log", 0);
    rig.start();
    rig.drain();
    rig.files.append("/log/a.log", b"new\n");
    rig.drain();
    rig.assert_contents(&[&lines("old", 0..100), b"new\n"]);
}

#[test]
fn a_kill_in_the_middle_of_a_long_line_loses_and_doubles_no_part() {
    let mut rig = rig(&["/log/*.log"]);
    let mut content = vec![b'E'; 200_000];
    content[..6].copy_from_slice(b"ERROR ");
    content.extend_from_slice(b"\nnext\n");
    rig.files.append("/log/a.log", &content);
    for _ in 0..8 {
        rig.poll(1);
        rig.seal();
        rig.poll(1);
        rig.restart();
    }
    rig.drain();
    rig.assert_contents(&[&content]);
    let parts: Vec<_> = rig.sealed.iter().map(|r| r.part).collect();
    let middle = [Part::Middle; 5];
    assert_eq!(parts, [&[Part::First][..], &middle, &[Part::Last, Part::Whole]].concat());
}

#[test]
fn the_severity_of_a_line_holds_for_its_parts_also_after_a_restart() {
    let mut rig = rig(&["/log/*.log"]);
    let mut content = b"ERROR ".to_vec();
    content.extend(vec![b'x'; 100_000]);
    content.push(b'\n');
    rig.files.append("/log/a.log", &content);
    rig.poll(1);
    rig.seal();
    rig.restart();
    let now = rig.now;
    let sources = rig.sources();
    sources.handle_tick(now);
    assert!(sources.begin(now));
    let part = sources.poll_line(now).unwrap();
    assert_eq!((part.part, part.severity), (Part::Middle, Severity::ERROR));
}

#[test]
fn a_kill_before_the_first_seal_gives_the_same_keys_again() {
    let mut rig = rig(&["/log/*.log"]);
    rig.files.append("/log/a.log", b"started\n");
    rig.files.append("/log/b.log", b"started\n");
    rig.poll(usize::MAX);
    let before: Vec<u64> = rig.open_block.iter().map(|r| r.file).collect();
    rig.files.append("/log/a.log", b"more\n");
    rig.restart();
    rig.poll(usize::MAX);
    let after: Vec<u64> = rig.open_block.iter().filter(|r| r.body == b"started").map(|r| r.file).collect();
    assert_eq!(before, after);
    assert_ne!(before[0], before[1]);
}

#[test]
fn a_cursor_of_another_version_is_dropped_with_a_notice() {
    let mut rig = half_read("/log/*.log", true);
    rig.cursors.values_mut().for_each(|bytes| bytes[0] = 9);
    let keys: Vec<u64> = rig.cursors.keys().copied().collect();
    rig.start();
    rig.sealed.clear();
    rig.drain();
    assert_eq!(rig.said(SourceNoticeKind::CursorUnknown), 1);
    rig.assert_contents(&[&lines("old", 0..200)]);
    let keys_after: Vec<u64> = rig.cursors.keys().copied().collect();
    assert_eq!(keys_after, keys, "the urgent lane still knows the file by its key");
}

/// Its key was made from its first 256 bytes, which are those from before the power cut, once the old key was
/// forgotten: what came then did not follow what had come under it.
#[test]
fn a_long_line_that_a_power_cut_made_shorter_has_another_key_however_late_it_is_read() {
    let mut rig = rig(&["/log/**"]);
    rig.files.append("/log/a.log", &[b'x'; 47_494]);
    assert_eq!(rig.poll(usize::MAX), 1, "a part, and the rest waits");
    rig.seal();
    rig.reboot();
    rig.files.truncate("/log/a.log", 21_635);
    rig.start();
    assert_eq!(rig.poll(usize::MAX), 0);
    rig.pass_ms(2 * table::CLOSED_WAIT_MS);
    rig.drain();
    rig.assert_contents(&[&[b'x'; 32_768], &[b'x'; 21_635]]);
}
