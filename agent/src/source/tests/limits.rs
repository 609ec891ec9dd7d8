//! Each bound is reached.

use driftlog_proto::limits::{LINE_BYTES_MAX, RECORD_BYTES_MAX};

use super::*;

fn line(bytes: usize) -> Vec<u8> {
    let mut line: Vec<u8> = (0..bytes).map(|n| b'a' + (n % 23) as u8).collect();
    line.push(b'\n');
    line
}

#[test]
fn every_line_comes_back_bit_by_bit() {
    let mut rig = rig(&["/log/*.log"]);
    let binary: Vec<u8> = (0..=255u8).filter(|b| *b != b'\n').chain([b'\n']).collect();
    let mut content = Vec::new();
    for piece in [
        b"\n".as_slice(),
        b"\r\n",
        b"windows\r\n",
        b"\n\n",
        &binary,
        b"\xff\xfe\n",
        &line(RECORD_BYTES_MAX - 1),
        &line(RECORD_BYTES_MAX),
        &line(RECORD_BYTES_MAX + 1),
        &line(2 * RECORD_BYTES_MAX),
        &line(LINE_BYTES_MAX - 1),
        &line(LINE_BYTES_MAX),
    ] {
        content.extend_from_slice(piece);
    }
    rig.files.append("/log/a.log", &content);
    rig.drain();
    assert_eq!(rig.contents(), [(rig.sealed[0].file, content)]);
    assert!(rig.sealed.iter().all(|r| r.body.len() <= RECORD_BYTES_MAX && !r.cut));
    assert_eq!(rig.sources().lines_cut(), 0);
}

#[test]
fn a_line_over_the_limit_is_cut_marked_counted_and_the_next_is_read() {
    for over in [1, 100_000, 3 * LINE_BYTES_MAX] {
        let mut rig = rig(&["/log/*.log"]);
        let long = line(LINE_BYTES_MAX + over);
        rig.files.append("/log/a.log", &long);
        rig.files.append("/log/a.log", b"next\n");
        for _ in 0..10 {
            rig.poll(7);
            rig.seal();
            rig.poll(1);
            rig.restart();
        }
        rig.drain();
        let cut: Vec<_> = rig.sealed.iter().filter(|r| r.cut).collect();
        assert_eq!(cut.len(), 1, "over by {over}");
        assert_eq!((cut[0].part, cut[0].ending), (Part::Last, Ending::None));
        let given: Vec<u8> =
            rig.sealed.iter().take_while(|r| r.body != b"next").flat_map(|r| r.body.clone()).collect();
        assert_eq!(given, long[..LINE_BYTES_MAX]);
        let next = rig.sealed.last().unwrap();
        assert_eq!((next.body.as_slice(), next.offset), (b"next".as_slice(), long.len() as u64));
        assert!(rig.said(SourceNoticeKind::LineCut) >= 1);
    }
}

#[test]
fn an_endless_line_without_a_newline_is_cut_while_it_grows() {
    let mut rig = rig(&["/log/*.log"]);
    for _ in 0..300 {
        rig.files.append("/log/a.log", &[b'x'; 7_777]);
        rig.pass_ms(1_000);
        rig.poll(usize::MAX);
        rig.seal();
    }
    rig.files.append("/log/a.log", b"\nnext\n");
    rig.drain();
    let bytes: usize = rig.sealed.iter().filter(|r| r.body != b"next").map(|r| r.body.len()).sum();
    assert_eq!(bytes, LINE_BYTES_MAX);
    assert_eq!(rig.sealed.last().unwrap().body, b"next");
    assert_eq!(rig.sources().lines_cut(), 1);
}

#[test]
fn a_cut_line_that_is_given_back_is_counted_once() {
    let mut rig = rig(&["/log/*.log"]);
    rig.files.append("/log/a.log", &line(LINE_BYTES_MAX + 1));
    rig.poll(LINE_BYTES_MAX / RECORD_BYTES_MAX - 1);
    let now = rig.now;
    let sources = rig.sources();
    let mut is_cut = None;
    while is_cut.is_none() {
        is_cut = sources.poll_line(now).map(|line| line.cut);
        assert!(is_cut.is_some() || sources.begin(now));
    }
    assert_eq!(is_cut, Some(true));
    sources.put_back();
    assert_eq!(sources.lines_cut(), 0);
    assert!(sources.poll_line(now).unwrap().cut);
    assert_eq!(sources.lines_cut(), 1);
    assert!(sources.poll_notice().is_some());
    assert!(sources.poll_notice().is_none());
}

#[test]
fn more_files_than_can_be_followed_are_reported_and_those_written_last_are_read() {
    let mut rig = rig(&["/log/*"]);
    for n in 0..FILES_MAX + 10 {
        rig.files.append(&format!("/log/{n:04}"), format!("{n}\n").as_bytes());
    }
    rig.files.append("/log/0000", b"again\n");
    rig.drain();
    assert_eq!(rig.said(SourceNoticeKind::TooManyFiles), 1);
    assert_eq!(rig.contents().len(), FILES_MAX);
    assert!(rig.sealed.iter().any(|r| r.body == b"again"));
    assert!(!rig.sealed.iter().any(|r| r.body == b"1"));
    // Where others go there is room.
    for n in FILES_MAX..FILES_MAX + 10 {
        rig.files.remove(&format!("/log/{n:04}"));
    }
    rig.drain();
    assert_eq!(rig.contents().len(), FILES_MAX + 10);
    assert!(rig.sources().status().count() <= FILES_MAX);
}

#[test]
fn renamed_files_make_room_for_new_ones() {
    let mut rig = rig(&["/log/*.log"]);
    for n in 0..FILES_MAX + 50 {
        rig.files.append("/log/a.log", format!("{n}\n").as_bytes());
        rig.drain();
        rig.files.rename("/log/a.log", &format!("/log/a.log.{n}"));
    }
    assert_eq!(rig.contents().len(), FILES_MAX + 50);
    assert_eq!(rig.said(SourceNoticeKind::TooManyFiles), 0);
    assert!(rig.cursors.len() <= FILES_MAX + CLOSED_MAX, "{}", rig.cursors.len());
}

#[test]
fn remembered_files_are_bounded() {
    let mut rig = rig(&["/log/*"]);
    for round in 0..4 {
        for n in 0..200 {
            rig.files.append(&format!("/log/{round}-{n}"), b"x\n");
        }
        rig.poll(usize::MAX);
        rig.seal();
        rig.kill();
        for name in rig.files.names() {
            rig.files.remove(&name);
        }
        rig.start();
    }
    rig.drain();
    assert!(rig.cursors.len() <= CLOSED_MAX, "{}", rig.cursors.len());
    assert_eq!(rig.sources().status().count(), CLOSED_MAX);
}

#[test]
fn a_path_that_is_too_long_for_a_cursor_is_reported() {
    let mut rig = rig(&["/log/**"]);
    rig.files.append(&format!("/log/{}/a.log", "d".repeat(600)), b"x\n");
    rig.drain();
    assert_eq!(rig.said(SourceNoticeKind::Unreadable), 1, "{:?}", rig.notices);
    assert!(rig.sealed.is_empty());
}

#[test]
fn standard_input_is_cut_into_lines_and_pushes_back_when_it_is_full() {
    let mut rig = rig(&["/none"]);
    rig.config.stdin_idle_line_ms = Some(5_000);
    rig.restart();
    let mut content: Vec<u8> = lines("in", 0..30_000);
    content.extend(line(100_000));
    content.extend_from_slice(b"unfinished");
    let mut rest = content.as_slice();
    while !rest.is_empty() {
        let taken = rig.sources().handle_stdin(rest);
        assert!(taken <= STDIN_BYTES_MAX);
        rest = &rest[taken..];
        assert!(rig.poll(usize::MAX) > 0 || taken > 0);
    }
    assert_eq!(rig.poll(usize::MAX), 0);
    assert!(!rig.sources().is_stdin_over());
    rig.sources().stdin_closed();
    rig.drain();
    assert!(rig.sources().is_stdin_over());
    rig.assert_contents(&[&content]);
    assert!(rig.sealed.iter().all(|r| r.path == STDIN_PATH));
    assert_eq!(rig.sealed.last().unwrap().part, Part::Whole);
    assert!(rig.cursors.is_empty());
}

#[test]
fn an_unfinished_line_of_standard_input_is_given_out_after_a_while() {
    let mut rig = rig(&["/none"]);
    rig.config.stdin_idle_line_ms = Some(2_000);
    rig.restart();
    rig.sources().handle_stdin(b"prompt> ");
    assert_eq!(rig.poll(usize::MAX), 0);
    rig.pass_ms(2_000);
    assert!(rig.sources().poll_deadline() <= rig.now);
    assert_eq!(rig.poll(usize::MAX), 1);
    rig.sources().handle_stdin(b"yes\n");
    assert_eq!(rig.poll(usize::MAX), 1);
    rig.seal();
    assert_eq!(rig.sealed[1].part, Part::Last);
    rig.assert_contents(&[b"prompt> yes\n"]);
}
