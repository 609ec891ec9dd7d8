//! Rotation while the agent runs.

use super::*;

#[test]
fn lines_are_read_as_they_come() {
    let mut rig = rig(&["/log/*.log"]);
    rig.files.append("/log/a.log", b"one\ntwo\n");
    rig.drain();
    rig.files.append("/log/a.log", b"three\n");
    rig.drain();
    rig.assert_contents(&[b"one\ntwo\nthree\n"]);
    assert!(rig.sealed.iter().all(|r| r.path == "/log/a.log" && r.part == Part::Whole));
    assert!(rig.notices.is_empty());
}

#[test]
fn a_file_that_was_renamed_to_where_no_pattern_leads_is_read_to_its_end() {
    let mut rig = rig(&["/log/*.log"]);
    rig.files.append("/log/a.log", &lines("old", 0..10));
    rig.drain();
    rig.files.append("/log/a.log", &lines("old", 10..12));
    rig.files.rename("/log/a.log", "/log/a.log.1");
    rig.files.append("/log/a.log", &lines("new", 0..3));
    // The writer does not know yet.
    rig.files.append("/log/a.log.1", &lines("old", 12..14));
    rig.drain();
    rig.files.append("/log/a.log.1", &lines("old", 14..15));
    rig.drain();
    rig.assert_contents(&[&lines("old", 0..15), &lines("new", 0..3)]);
}

#[test]
fn a_renamed_file_keeps_its_key_where_a_pattern_leads_to_it() {
    let mut rig = rig(&["/log/**"]);
    rig.files.append("/log/a.log", &lines("old", 0..10));
    rig.drain();
    rig.files.rename("/log/a.log", "/log/a.log.1");
    rig.files.append("/log/a.log", &lines("new", 0..3));
    rig.files.append("/log/a.log.1", &lines("old", 10..12));
    rig.drain();
    rig.files.rename("/log/a.log.1", "/log/old/a.log.2");
    rig.files.rename("/log/a.log", "/log/a.log.1");
    rig.files.append("/log/a.log", &lines("newest", 0..3));
    rig.files.append("/log/old/a.log.2", &lines("old", 12..13));
    rig.drain();
    rig.assert_contents(&[&lines("old", 0..13), &lines("new", 0..3), &lines("newest", 0..3)]);
    let last = rig.sealed.iter().find(|r| r.body == b"old 12").unwrap();
    assert_eq!(last.path, "/log/old/a.log.2");
}

#[test]
fn the_rest_of_a_rotated_file_comes_before_the_lines_of_its_successor() {
    let mut rig = rig(&["/log/*.log"]);
    rig.files.append("/log/a.log", &lines("old", 0..1));
    rig.drain();
    rig.files.append("/log/a.log", &lines("old", 1..20_000));
    rig.files.rename("/log/a.log", "/log/a.log.1");
    rig.files.append("/log/a.log", &lines("new", 0..20_000));
    rig.drain();
    rig.assert_contents(&[&lines("old", 0..20_000), &lines("new", 0..20_000)]);
    let first_new = rig.sealed.iter().position(|r| r.body.starts_with(b"new")).unwrap();
    assert!(rig.sealed[first_new..].iter().all(|r| r.body.starts_with(b"new")));
}

#[test]
fn a_truncated_file_begins_again_and_its_rest_is_read_from_the_copy() {
    for pattern in ["/log/*.log", "/log/**"] {
        let mut rig = rig(&[pattern]);
        rig.files.append("/log/a.log", &lines("old", 0..100));
        rig.drain();
        rig.files.append("/log/a.log", &lines("old", 100..110));
        let len = rig.files.content("/log/a.log").unwrap().len();
        rig.files.copy("/log/a.log", "/log/a.log.1", len);
        rig.files.truncate("/log/a.log", 0);
        rig.files.append("/log/a.log", &lines("new", 0..3));
        rig.drain();
        rig.assert_contents(&[&lines("old", 0..110), &lines("new", 0..3)]);
        assert_eq!(rig.said(SourceNoticeKind::Truncated), 1, "{:?}", rig.notices);
    }
}

#[test]
fn a_copy_that_is_seen_before_its_original_is_truncated_is_not_read_twice() {
    let mut rig = rig(&["/log/**"]);
    rig.files.append("/log/a.log", &lines("old", 0..100));
    rig.drain();
    rig.files.append("/log/a.log", &lines("old", 100..110));
    let len = rig.files.content("/log/a.log").unwrap().len();
    rig.files.copy("/log/a.log", "/log/a.log.1", 700);
    rig.drain();
    rig.files.copy("/log/a.log", "/log/a.log.1", len);
    rig.files.append("/log/a.log", &lines("lost to the gap between copying and truncating", 0..1));
    rig.drain();
    rig.files.truncate("/log/a.log", 0);
    rig.drain();
    rig.files.append("/log/a.log", &lines("new", 0..3));
    rig.drain();
    let mut old = lines("old", 0..110);
    old.extend(lines("lost to the gap between copying and truncating", 0..1));
    rig.assert_contents(&[&old, &lines("new", 0..3)]);
    // One for the unfinished copy, one for the file that took its place.
    assert_eq!(rig.said(SourceNoticeKind::Copy), 2, "{:?}", rig.notices);
    rig.restart();
    rig.files.append("/log/a.log", &lines("new", 3..4));
    rig.drain();
    rig.assert_contents(&[&old, &lines("new", 0..4)]);
}

#[test]
fn a_copy_that_lacks_the_last_lines_read_before_the_truncation_is_not_read_from_its_beginning() {
    let mut rig = rig(&["/log/**"]);
    for n in 0..20 {
        rig.files.append("/log/a.log", &lines("old", n * 100..(n + 1) * 100));
        rig.poll(usize::MAX);
        rig.seal();
        rig.pass_ms(1_000);
    }
    rig.drain();
    rig.files.copy("/log/a.log", "/log/a.log.1", usize::MAX);
    rig.files.append("/log/a.log", &lines("late", 0..1));
    rig.pass_ms(1_000);
    assert_eq!(rig.poll(usize::MAX), 1, "it is read before the copy is found");
    rig.seal();
    let read = rig.sealed.len();
    rig.files.truncate("/log/a.log", 0);
    rig.drain();
    let repeated = rig.sealed.len() - read;
    assert!(repeated <= 100, "{repeated} lines repeat");
    rig.restart();
    rig.drain();
    assert_eq!(rig.sealed.len(), read + repeated);
}

#[test]
fn a_truncation_shows_although_the_file_has_grown_past_the_cursor_again() {
    let mut rig = rig(&["/log/*.log"]);
    rig.files.append("/log/a.log", &lines("old", 0..10));
    rig.drain();
    rig.files.truncate("/log/a.log", 0);
    rig.files.append("/log/a.log", &lines("new", 0..100));
    rig.drain();
    rig.assert_contents(&[&lines("old", 0..10), &lines("new", 0..100)]);
}

#[test]
fn a_truncation_shows_although_the_file_is_as_long_as_before() {
    let mut rig = rig(&["/log/*.log"]);
    rig.files.append("/log/a.log", &lines("old", 0..10));
    rig.drain();
    rig.files.truncate("/log/a.log", 0);
    rig.files.append("/log/a.log", &lines("new", 0..10));
    rig.drain();
    rig.assert_contents(&[&lines("old", 0..10), &lines("new", 0..10)]);
}

#[test]
fn bytes_that_repeat_before_the_cursor_do_not_hide_a_truncation() {
    let same = "x".repeat(300);
    let mut rig = rig(&["/log/*.log"]);
    rig.files.append("/log/a.log", format!("1 {same}\n2 {same}\n").as_bytes());
    rig.poll(1);
    rig.seal();
    rig.files.truncate("/log/a.log", 0);
    let new = format!("3 {same}\n4 {same}\n5 {same}\n");
    rig.files.append("/log/a.log", new.as_bytes());
    rig.restart();
    rig.drain();
    rig.assert_contents(&[format!("1 {same}\n").as_bytes(), new.as_bytes()]);
}

#[test]
fn a_file_that_is_truncated_and_begins_with_the_same_line_has_another_key() {
    let mut rig = rig(&["/log/*.log"]);
    rig.files.append("/log/a.log", b"started\nfirst\n");
    rig.drain();
    rig.files.truncate("/log/a.log", 0);
    rig.files.append("/log/a.log", b"started\nsecond, and longer\n");
    rig.drain();
    rig.assert_contents(&[b"started\nfirst\n", b"started\nsecond, and longer\n"]);
}

#[test]
fn what_follows_a_truncation_waits_until_the_lines_before_it_are_sealed() {
    let mut rig = rig(&["/log/*.log"]);
    rig.files.append("/log/a.log", b"old\n");
    assert_eq!(rig.poll(usize::MAX), 1);
    rig.files.truncate("/log/a.log", 0);
    rig.files.append("/log/a.log", b"n\n");
    rig.pass_ms(1_000);
    assert_eq!(rig.poll(usize::MAX), 0);
    rig.seal();
    assert_eq!(rig.poll(usize::MAX), 1);
}

#[test]
fn cursors_of_a_frame_that_was_refused_are_offered_with_the_next_one() {
    let mut rig = rig(&["/log/*.log"]);
    rig.files.append("/log/a.log", b"one\n");
    assert_eq!(rig.poll(usize::MAX), 1);
    // Nobody says that they are sealed: the spool has not taken the frame.
    let mut offered = 0;
    rig.sources().changed_cursors(|_, _| offered += 1);
    assert_eq!(offered, 1);
    rig.seal();
    assert_eq!(rig.cursors.len(), 1);
    rig.restart();
    rig.drain();
    rig.assert_contents(&[b"one\n"]);
}

#[test]
fn a_deleted_file_is_read_to_its_end_and_its_unfinished_line_is_given_out() {
    let mut rig = rig(&["/log/*.log"]);
    rig.files.append("/log/a.log", b"one\n");
    rig.drain();
    rig.files.append("/log/a.log", b"two\nthree");
    rig.files.remove("/log/a.log");
    rig.drain();
    rig.assert_contents(&[b"one\ntwo\nthree"]);
    let last = rig.sealed.last().unwrap();
    assert_eq!((last.part, last.ending), (Part::Whole, Ending::None));
    assert!(rig.cursors.is_empty(), "its cursor is forgotten");
    assert_eq!(rig.sources().status().count(), 0);
}

#[test]
fn a_file_that_is_deleted_and_made_again_is_another_file() {
    let mut rig = rig(&["/log/*.log"]);
    rig.files.append("/log/a.log", b"started\none\n");
    rig.drain();
    rig.files.append("/log/a.log", b"two\n");
    rig.files.remove("/log/a.log");
    rig.files.append("/log/a.log", b"started\none\ntwo\nthree\n");
    rig.drain();
    rig.assert_contents(&[b"started\none\ntwo\n", b"started\none\ntwo\nthree\n"]);
}

#[test]
fn an_inode_that_is_given_out_again_is_another_file() {
    for births in [true, false] {
        let mut rig = rig(&["/log/*.log"]);
        rig.files.keep_births(births);
        rig.files.append("/log/a.log", &lines("old", 0..10));
        rig.drain();
        rig.files.remove("/log/a.log");
        rig.drain();
        rig.files.append("/log/b.log", &lines("new", 0..20));
        rig.drain();
        rig.assert_contents(&[&lines("old", 0..10), &lines("new", 0..20)]);
    }
}

#[test]
fn an_unfinished_line_is_given_out_after_a_while_and_its_rest_continues_it() {
    let mut rig = rig(&["/log/*.log"]);
    rig.files.append("/log/a.log", b"progress: ");
    rig.poll(usize::MAX);
    rig.pass_ms(4_999);
    assert_eq!(rig.poll(usize::MAX), 0);
    let deadline = rig.sources().poll_deadline();
    assert!(deadline <= Mono(6_000_000_000), "{deadline:?}");
    rig.pass_ms(1);
    assert_eq!(rig.poll(usize::MAX), 1);
    rig.files.append("/log/a.log", b"50 %");
    rig.drain();
    rig.files.append("/log/a.log", b" done\nnext\n");
    rig.drain();
    rig.assert_contents(&[b"progress: 50 % done\nnext\n"]);
    let parts: Vec<_> = rig.sealed.iter().map(|r| (r.part, r.ending)).collect();
    let (open, newline) = (Ending::None, Ending::Newline);
    assert_eq!(
        parts,
        [(Part::First, open), (Part::Middle, open), (Part::Last, newline), (Part::Whole, newline)]
    );
}

#[test]
fn compressed_siblings_are_never_read() {
    let mut rig = rig(&["/log/**"]);
    rig.files.append("/log/a.log", b"one\n");
    rig.drain();
    rig.files.rename("/log/a.log", "/log/a.log.1");
    rig.files.append("/log/a.log", b"two\n");
    rig.files.append("/log/a.log.1.gz", b"\x1f\x8b");
    rig.drain();
    rig.files.remove("/log/a.log.1");
    rig.drain();
    rig.assert_contents(&[b"one\n", b"two\n"]);
}

#[test]
fn two_names_of_one_file_are_read_once() {
    let mut rig = rig(&["/log/*"]);
    rig.files.append("/log/a.log", b"one\n");
    rig.files.hard_link("/log/a.log", "/log/b.log");
    rig.files.link("/log/c.log", "/log/a.log");
    rig.drain();
    rig.files.remove("/log/a.log");
    rig.files.append("/log/b.log", b"two\n");
    rig.drain();
    rig.assert_contents(&[b"one\ntwo\n"]);
}

#[test]
fn a_line_that_is_given_back_is_polled_again() {
    let mut rig = rig(&["/log/*.log"]);
    rig.files.append("/log/a.log", b"one\ntwo\n");
    let now = rig.now;
    let sources = rig.sources();
    sources.handle_tick(now);
    assert!(sources.begin(now));
    assert_eq!(sources.poll_line(now).unwrap().body, b"one");
    assert_eq!(sources.poll_line(now).unwrap().body, b"two");
    sources.put_back();
    sources.put_back();
    rig.seal();
    rig.restart();
    assert_eq!(rig.poll(usize::MAX), 1);
    assert_eq!(rig.open_block[0].body, b"two");
}

#[test]
fn a_file_that_cannot_be_read_is_reported_once_and_goes_on_when_it_can() {
    let mut rig = rig(&["/log/*.log"]);
    rig.files.append("/log/a.log", b"one\n");
    rig.drain();
    rig.files.fail_reads(true);
    rig.files.append("/log/a.log", b"two\n");
    rig.drain();
    assert_eq!(rig.said(SourceNoticeKind::Unreadable), 1, "{:?}", rig.notices);
    assert!(rig.notices[0].text.starts_with("cannot read /log/a.log: "), "{}", rig.notices[0].text);
    rig.files.fail_reads(false);
    rig.drain();
    rig.assert_contents(&[b"one\ntwo\n"]);
}

#[test]
fn a_file_that_may_not_be_opened_is_reported_once_and_read_when_it_may() {
    let mut rig = rig(&["/log/*.log"]);
    rig.files.append("/log/a.log", b"one\n");
    rig.files.deny("/log/a.log", true);
    rig.drain();
    assert_eq!(rig.said(SourceNoticeKind::Unreadable), 1);
    rig.files.deny("/log/a.log", false);
    rig.drain();
    rig.assert_contents(&[b"one\n"]);
}

#[test]
fn a_hint_brings_lines_sooner_than_the_poll() {
    let mut rig = rig(&["/log/*.log"]);
    rig.files.append("/log/a.log", b"one\n");
    rig.poll(usize::MAX);
    rig.pass_ms(60);
    rig.files.append("/log/a.log", b"two\n");
    assert_eq!(rig.poll(usize::MAX), 0, "without a hint nobody looks");
    rig.sources().handle_changed();
    assert!(rig.sources().poll_deadline() <= rig.now);
    assert_eq!(rig.poll(usize::MAX), 1);
}

#[test]
fn an_idle_agent_reads_nothing_and_looks_no_more_than_it_must() {
    let mut rig = rig(&["/log/*.log"]);
    for n in 0..100 {
        rig.files.append(&format!("/log/{n}.log"), b"line\n");
    }
    rig.drain();
    let (reads, looks) = rig.files.reads_and_looks();
    let end = rig.now.plus_ms(60_000);
    while rig.now < end {
        rig.now = rig.sources().poll_deadline();
        rig.poll(usize::MAX);
    }
    let (reads_after, looks_after) = rig.files.reads_and_looks();
    assert_eq!(reads_after, reads);
    // 60 looks at 100 open files, and 6 searches that look at 100 paths.
    assert!(looks_after - looks <= 61 * 100 + 7 * 100, "{}", looks_after - looks);
}

#[test]
fn files_take_turns() {
    let mut rig = rig(&["/log/*.log"]);
    rig.files.append("/log/flood.log", &lines("flood", 0..100_000));
    rig.files.append("/log/quiet.log", b"quiet\n");
    rig.poll(usize::MAX);
    let at = rig.open_block.iter().position(|r| r.body == b"quiet").unwrap();
    let before: usize = rig.open_block[..at].iter().map(|r| r.body.len() + 1).sum();
    assert!(before <= turn::BUFFER_BYTES, "{before} bytes of another file came first");
}

#[test]
fn a_directory_that_cannot_be_listed_for_a_while_does_not_make_its_files_leave() {
    let mut rig = rig(&["/log/*.log"]);
    rig.files.append("/log/a.log", b"one\n");
    rig.drain();
    rig.files.deny("/log", true);
    rig.files.append("/log/a.log", b"two\n");
    rig.drain();
    assert!(rig.sources().status().all(|status| status.state == SourceState::Followed));
    rig.files.deny("/log", false);
    rig.drain();
    rig.assert_contents(&[b"one\ntwo\n"]);
    assert_eq!(rig.said(SourceNoticeKind::Unreadable), 1);
}

/// A simulated world: access to a file was denied for a while when the agent started, its cursor was
/// forgotten, and it was read again from its beginning.
#[test]
fn a_file_that_cannot_be_looked_at_for_a_day_is_read_on_where_it_was() {
    let hide: [fn(&SimFiles, bool); 3] = [
        |files, is_denied| files.deny("/log/a.log", is_denied),
        |files, is_denied| files.deny("/log", is_denied),
        SimFiles::fail_reads,
    ];
    for hide in hide {
        let mut rig = rig(&["/log/*.log"]);
        rig.files.append("/log/a.log", b"one\n");
        rig.drain();
        rig.files.append("/log/a.log", b"two\n");
        hide(&rig.files, true);
        rig.restart();
        for _ in 0..24 {
            rig.drain();
            rig.pass_ms(3_600_000);
        }
        hide(&rig.files, false);
        rig.drain();
        rig.assert_contents(&[b"one\ntwo\n"]);
    }
}

#[test]
fn a_file_that_was_filled_again_with_the_same_end_is_another_by_its_head() {
    let mut rig = rig(&["/log/*.log"]);
    let rest = lines("the same line", 0..60);
    let content = |head: &str| [head.as_bytes(), &rest].concat();
    rig.files.append("/log/a.log", &content("one day\n"));
    rig.drain();
    rig.files.truncate("/log/a.log", 0);
    rig.files.append("/log/a.log", &content("another\n"));
    rig.files.append("/log/a.log", b"and more\n");
    rig.drain();
    let after = [content("another\n"), b"and more\n".to_vec()].concat();
    rig.assert_contents(&[&content("one day\n"), &after]);
}

/// The key of the old bytes was forgotten after a quarter of an hour, and given to the new ones.
#[test]
fn a_truncated_file_that_begins_with_the_same_line_much_later_has_another_key() {
    let line = b"the same line, whatever follows\n".as_slice();
    for (stops, reboots) in [(false, false), (true, false), (true, true)] {
        let mut rig = rig(&["/log/**"]);
        for round in 0..3 {
            rig.files.append("/log/a.log", line);
            rig.drain();
            rig.files.truncate("/log/a.log", 0);
            rig.drain();
            rig.pass_ms(2 * table::CLOSED_WAIT_MS);
            rig.drain();
            assert_eq!(rig.cursors.len(), 1, "round {round}: the old bytes' alone");
            if stops {
                rig.kill();
                rig.boot.0[0] += u8::from(reboots);
                rig.start();
                rig.drain();
                rig.pass_ms(2 * table::CLOSED_WAIT_MS);
                rig.drain();
            }
        }
        rig.assert_contents(&[line; 3]);
    }
}

#[test]
fn files_are_looked_at_with_each_search_where_changes_are_told_and_each_second_where_one_was_not() {
    let mut rig = rig(&["/log/*.log"]);
    rig.files.append("/log/a.log", b"one\n");
    rig.sources().handle_watched(true);
    rig.drain();
    let looks = |rig: &mut Rig<SimFiles>, ms: u64| {
        let end = rig.now.plus_ms(ms);
        let mut wakes = 0;
        while rig.sources().poll_deadline() <= end {
            rig.now = rig.now.max(rig.sources().poll_deadline());
            rig.poll(100);
            wakes += 1;
        }
        rig.now = end;
        wakes
    };
    assert!(looks(&mut rig, 60_000) <= 12, "with each search alone");
    rig.files.append("/log/a.log", b"two\n");
    rig.sources().handle_changed();
    looks(&mut rig, 60_000);
    assert!(looks(&mut rig, 60_000) <= 12, "it was told");
    // Through a link, say.
    rig.files.append("/log/a.log", b"three\n");
    looks(&mut rig, 12_000);
    let often = looks(&mut rig, 60_000);
    assert!(often >= 59, "{often}");
    rig.drain();
    rig.assert_contents(&[b"one\ntwo\nthree\n"]);
}
