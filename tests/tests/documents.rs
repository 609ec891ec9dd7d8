//! The documents against the code: links, paths, tests, rules, commands and exit codes that they
//! name are there. (Limits, configuration keys, metrics and fields have tests beside their code.)

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file below the repository with this ending, by its path from the root.
fn files(ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type().unwrap().is_dir() {
                if name != "target" && !name.starts_with('.') {
                    folders.push(entry.path());
                }
            } else if name.ends_with(ending) {
                found.push(entry.path().strip_prefix(root()).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

/// What stands between `open` and `close`, each time.
fn between<'a>(text: &'a str, open: &'a str, close: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(open).skip(1).filter_map(move |rest| rest.split_once(close)).map(|(inner, _)| inner)
}

/// Words in `code` form, outside of indented blocks.
fn spans(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| !line.starts_with("    "));
    lines.flat_map(|line| line.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// The anchors of a page's headings, as hosts of Markdown make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let slug = |heading: &str| {
        let kept = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(slug).collect()
}

/// Whether this is meant as a path; `gateway/generation` is a key of the ledger.
fn is_path_of_code(span: &str) -> bool {
    let tops = ["proto/", "agent/", "gateway/", "tests/", "cross/", "docs/", ".ci/"];
    let below = tops.iter().find_map(|top| span.strip_prefix(top));
    let is_path = |below: &str| below.is_empty() || below.starts_with("src") || below.contains(['/', '.']);
    below.is_some_and(is_path) && !span.contains(['*', '<', ' ', '…'])
}

/// The text of a program's `--help`, from its source.
fn help(source: &str) -> String {
    let text = read(source);
    between(&text, "const HELP: &str = \"\\\n", "\n\";").next().expect("the source has its HELP").to_owned()
}

/// The documents for people, all in one.
fn documents() -> String {
    files(".md")
        .iter()
        .filter(|path| path.starts_with("docs/") || *path == "README.md")
        .map(|path| read(path))
        .collect()
}

#[test]
fn every_relative_link_leads_to_a_page_and_to_a_heading_of_it() {
    let mut broken = Vec::new();
    let mut links = 0;
    for page in files(".md") {
        let text = read(&page);
        for link in between(&text, "](", ")") {
            if link.starts_with("http") {
                continue;
            }
            links += 1;
            let (path, anchor) =
                link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
            let target = match path {
                "" => root().join(&page),
                path => root().join(&page).parent().unwrap().join(path),
            };
            let is_there = match anchor {
                None => target.exists(),
                Some(anchor) => fs::read_to_string(&target).is_ok_and(|text| anchors(&text).contains(anchor)),
            };
            if !is_there {
                broken.push(format!("{page}: {link}"));
            }
        }
    }
    assert!(links > 50, "{links} links: are these the documents?");
    assert!(broken.is_empty(), "links that lead nowhere: {broken:#?}");
}

#[test]
fn every_path_of_code_in_the_documents_exists() {
    let mut missing = Vec::new();
    let mut paths = 0;
    for page in files(".md") {
        for span in spans(&read(&page)).into_iter().filter(|span| is_path_of_code(span)) {
            paths += 1;
            if !root().join(&span).exists() {
                missing.push(format!("{page}: {span}"));
            }
        }
    }
    assert!(paths > 50, "{paths} paths: are these the documents?");
    assert!(missing.is_empty(), "paths that are not there: {missing:#?}");
}

#[test]
fn every_test_that_guarantees_names_exists() {
    let sources: String = files(".rs").iter().map(|path| read(path)).collect();
    let is_sentence = |span: &&String| {
        let is_name = span.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        is_name && span.matches('_').count() >= 3
    };
    let spans = spans(&read("docs/guarantees.md"));
    let named: Vec<&String> = spans.iter().filter(is_sentence).collect();
    assert!(named.len() > 40, "{} tests are named", named.len());
    let is_there = |name: &str| sources.contains(&format!("fn {name}("));
    let missing: Vec<_> = named.into_iter().filter(|name| !is_there(name)).collect();
    assert!(missing.is_empty(), "tests that do not exist: {missing:#?}");
}

#[test]
fn every_rule_and_invariant_that_the_code_names_is_in_guarantees() {
    let guarantees = read("docs/guarantees.md");
    let mut missing = Vec::new();
    for path in files(".rs").into_iter().filter(|path| path.contains("/src/")) {
        let text = read(&path);
        let numbers = between(&text, "(rule", ")").chain(between(&text, "; rule", ")"));
        for number in numbers.flat_map(|list| list.split(|c: char| !c.is_ascii_digit())) {
            if !number.is_empty() && !guarantees.contains(&format!("\n{number}. ")) {
                missing.push(format!("{path}: rule {number}"));
            }
        }
        for line in text.lines().filter_map(|line| line.strip_prefix("//! - ")) {
            let name = line.split([':', ' ']).next().unwrap_or_default();
            let is_invariant = name.len() == 2
                && name.starts_with(['I', 'R', 'S', 'C'])
                && name.ends_with(|c: char| c.is_ascii_digit());
            if is_invariant && !guarantees.contains(&format!("\n| {name} | ")) {
                missing.push(format!("{path}: {name}"));
            }
        }
    }
    assert!(missing.is_empty(), "named in the code and not in guarantees: {missing:#?}");
}

#[test]
fn every_command_of_both_programs_is_in_the_documents() {
    let documents = documents();
    let agent = help("agent/src/cli/mod.rs");
    let agent = between(&agent, "  driftlog-agent ", "\n").flat_map(|line| {
        let words: Vec<&str> =
            line.split(' ').take_while(|word| word.starts_with(char::is_lowercase)).collect();
        // `spool inspect|verify` stands for two commands.
        let (last, first) =
            words.split_last().map_or(("", ""[..].to_owned()), |(last, first)| (*last, first.join(" ")));
        last.split('|')
            .map(|word| format!("driftlog-agent {first} {word}").replace("  ", " "))
            .collect::<Vec<_>>()
    });
    let gateway = help("gateway/src/cli/mod.rs");
    let gateway = gateway.lines().filter_map(|line| line.strip_prefix("  ")).filter_map(|line| {
        let word = line.split(' ').next()?;
        word.starts_with(char::is_lowercase).then(|| format!("driftlog-gateway {word}"))
    });
    let commands: BTreeSet<String> = agent.chain(gateway).filter(|command| !command.ends_with(' ')).collect();
    assert!(commands.len() >= 9, "{commands:?}");
    let missing: Vec<_> = commands.iter().filter(|command| !documents.contains(command.as_str())).collect();
    assert!(missing.is_empty(), "commands that no document names: {missing:#?}");
}

#[test]
fn every_option_and_exit_code_of_both_programs_is_in_the_documents() {
    let (documents, operate) = (documents(), read("docs/operate.md"));
    for source in ["agent/src/cli/mod.rs", "gateway/src/cli/mod.rs"] {
        let help = help(source);
        for option in help.split([' ', '[', ']', ',', '\n', '`']).filter(|word| word.starts_with("--")) {
            assert!(documents.contains(option), "{source}: no document names {option}");
        }
        let codes = help.to_lowercase();
        let codes = between(&codes, "exit codes:", "configuration").next().unwrap().to_owned();
        let codes: Vec<&str> =
            codes.split(|c: char| !c.is_ascii_digit()).filter(|code| !code.is_empty()).collect();
        assert_eq!(codes, ["0", "1", "2"], "{source}");
        for code in codes {
            assert!(
                operate.contains(&format!("\n| {code} | ")),
                "docs/operate.md does not tell exit code {code}"
            );
        }
    }
}

#[test]
fn the_tables_of_the_spool_format_are_those_of_the_code() {
    let page = read("docs/spool-format.md");
    for source in ["header", "frame", "tail"] {
        let source = format!("agent/src/spool/{source}.rs");
        let code = read(&source);
        let table = between(&code, "//! ```text\n", "//! ```").next().unwrap();
        assert!(table.lines().count() > 8, "{source}: {table}");
        for line in table.lines().map(|line| line.trim_start_matches("//!").trim_end()) {
            let shown = format!("   {line}\n");
            assert!(page.contains(&shown), "{source} has a line that docs/spool-format.md has not:\n{line}");
        }
    }
}

#[test]
fn the_page_of_devices_lists_as_many_descriptors_as_the_agent_may_have_open() {
    let page = read("docs/device.md");
    let section = page.split("\n## ").find(|section| section.starts_with("What it has open\n")).unwrap();
    let all = format!("At most {} descriptors", driftlog_agent::DESCRIPTORS_MAX);
    assert!(section.contains(&all), "docs/device.md does not say: {all}");
    let rows = section.lines().filter_map(|line| line.strip_suffix(" |")?.rsplit_once("| "));
    let sum: usize = rows.filter_map(|(_, number)| number.parse::<usize>().ok()).sum();
    assert_eq!(sum, driftlog_agent::DESCRIPTORS_MAX, "the rows of the table");
}

#[test]
fn the_page_of_brokers_prints_every_file_that_the_scripts_take_from_it() {
    let page = |name: &str| {
        let output =
            std::process::Command::new(root().join("tests/servers/page")).arg(name).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let scripts = ["certificate", "mosquitto", "rabbitmq"].map(|name| read(&format!("tests/servers/{name}")));
    let names = scripts.iter().flat_map(|text| between(text, "\"$here/page\" ", "\n"));
    let names: BTreeSet<&str> = names.filter_map(|rest| rest.split([' ', ')']).next()).collect();
    assert_eq!(names.len(), 6, "{names:?}");
    for name in &names {
        assert!(page(name).lines().count() > 0, "{name}");
    }
    let definitions: serde_json::Value =
        serde_json::from_str(&page("/etc/rabbitmq/definitions.json")).unwrap();
    let count = |key: &str| definitions[key].as_array().unwrap().len();
    // One without would be allowed everything.
    assert_eq!(count("users"), count("topic_permissions"));
}
