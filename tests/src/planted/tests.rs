//! The list against the source that ships.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::checks::CHECKS;
use super::copy::choice;
use super::list::{Bug, Change, place, read};
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
