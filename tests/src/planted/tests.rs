//! The list against the source that ships.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::checks::{CHECKS, needed, tried_for};
use super::copy::choice;
use super::list::{Bug, Change, place, read};
use super::options::Options;
use super::root;

fn bug(name: &str, is: &str) -> Bug {
    let change = Change { file: "a".to_owned(), is: is.to_owned(), becomes: "x".to_owned() };
    Bug { name: name.to_owned(), breaks: "it".to_owned(), found_by: "pair".to_owned(), at: vec![change] }
}

#[test]
fn every_planted_snippet_stands_exactly_once_and_none_overlap() {
    let bugs = read(&root()).unwrap();
    assert!(bugs.len() >= 40, "{} bugs", bugs.len());
    let placed = place(&bugs, |file| fs::read_to_string(root().join(file))).unwrap();
    let shipped = ["proto/src/", "agent/src/", "gateway/src/"];
    assert!(placed.keys().all(|file| shipped.iter().any(|folder| file.starts_with(folder))), "{placed:?}");
}

#[test]
fn every_bug_has_a_name_of_its_own_and_a_check_that_is_there() {
    let bugs = read(&root()).unwrap();
    let names: BTreeSet<&str> = bugs.iter().map(|bug| bug.name.as_str()).collect();
    assert_eq!(names.len(), bugs.len());
    for bug in &bugs {
        assert!(bug.name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{}", bug.name);
        assert!(!bug.at.is_empty() && !bug.breaks.is_empty(), "{}", bug.name);
        assert!(CHECKS.iter().any(|check| check.name == bug.found_by), "{}: {}", bug.name, bug.found_by);
        assert!(bug.at.iter().all(|change| change.is != change.becomes), "{}", bug.name);
    }
}

#[test]
fn the_document_has_a_row_for_each_bug_with_the_check_that_the_list_names() {
    let page = fs::read_to_string(root().join("docs/testing.md")).unwrap();
    let rows: Vec<Vec<&str>> = page
        .split_once("| bug | breaks | caught by | seeds |")
        .map(|(_, table)| table.lines().skip(2).take_while(|line| line.starts_with('|')))
        .unwrap()
        .map(|row| row.split('|').map(str::trim).skip(1).collect())
        .collect();
    let bugs = read(&root()).unwrap();
    for (row, bug) in rows.iter().zip(&bugs) {
        assert_eq!(row[..2], [bug.name.as_str(), bug.breaks.as_str()]);
        assert_eq!(
            row[2].split_once(':').map(|(check, _)| check),
            Some(bug.found_by.as_str()),
            "{}",
            bug.name
        );
    }
    assert_eq!(rows.len(), bugs.len());
}

#[test]
fn nothing_of_it_stands_in_what_ships() {
    let mut folders: Vec<_> = ["proto/src", "agent/src", "gateway/src"].map(|f| root().join(f)).into();
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                assert!(
                    !text.contains("planted(") && !text.contains("DRIFTLOG_PLANTED"),
                    "{}",
                    path.display()
                );
                files += 1;
            }
        }
    }
    assert!(files > 100, "{files} files");
    assert!(!Path::new(&root()).join("proto/src/planted.rs").exists());
}

#[test]
fn a_snippet_that_moved_or_stands_twice_is_said_to() {
    let said = |bugs: &[Bug], text: &str| place(bugs, |_| Ok(text.to_owned())).unwrap_err().to_string();
    assert_eq!(said(&[bug("one", "f(x)")], "g(x)"), "one: its snippet stands 0 times in a");
    assert_eq!(said(&[bug("one", "f(x)")], "f(x) f(x)"), "one: its snippet stands 2 times in a");
    assert_eq!(said(&[bug("one", "f(x)"), bug("two", "(x)")], "f(x)"), "a: one and two overlap");
}

#[test]
fn an_expression_statements_and_a_text_become_choices() {
    let change =
        |is: &str, becomes: &str| Change { file: String::new(), is: is.into(), becomes: becomes.into() };
    assert_eq!(choice(&change("a + b", "a"), "p(1)"), "(if p(1) { a } else { a + b })");
    assert_eq!(choice(&change("f();", ""), "p(1)"), "if p(1) {  } else { f(); }");
    assert_eq!(choice(&change("x if y", "x if PLANTED || y"), "p(1)"), "x if p(1) || y");
}

#[test]
fn the_expected_check_is_tried_first_and_no_other_where_that_is_asked_for() {
    let bugs = [bug("one", "a")];
    let names =
        |options: &Options| -> Vec<&str> { tried_for(&bugs[0], options).map(|check| check.name).collect() };
    let all = names(&Options::default());
    assert_eq!((all[0], all[1], all.len()), ("pair", "sim", CHECKS.len()));
    assert_eq!(needed(bugs.iter(), &Options::default()).len(), CHECKS.len());
    let expected = Options { is_expected: true, ..Options::default() };
    assert_eq!(names(&expected), ["pair"]);
    assert_eq!(needed(bugs.iter(), &expected).len(), 1);
}
