//! The configuration that `init` writes: the example with what was found set in it, and everything else
//! commented out, so that it shows defaults. Its keys are the example's, of which a test says that they are those
//! that are read.

/// Holds every key, with a comment and its default.
const EXAMPLE: &str = include_str!("../../driftlog-agent.example.toml");

/// What stands in place of the broker until somebody sets it.
pub(crate) const BROKER_TO_SET: &str = "mqtt://broker.invalid:1883";

/// A value for a key of the example.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// As in its brackets; empty before the first.
    pub(crate) section: &'static str,
    pub(crate) key: &'static str,
    /// In TOML.
    pub(crate) value: String,
}

/// A configuration with these settings; `head` stands at its beginning, commented.
pub(crate) fn draft(head: &str, settings: &[Setting]) -> String {
    let mut text: String = head.lines().map(|line| format!("# {line}\n")).collect();
    let mut section = "";
    // The example's own head ends with its first empty line.
    for line in EXAMPLE.lines().skip_while(|line| !line.is_empty()) {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
        }
        let key = line.split_once(" = ").map(|(key, _)| key).filter(|key| !key.starts_with('#'));
        let setting = settings.iter().find(|of| of.section == section && Some(of.key) == key);
        match (key, setting) {
            (Some(key), Some(setting)) => text.extend([key, " = ", setting.value.as_str()]),
            (Some(_), None) => text.extend(["#", line]),
            (None, _) => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    fn set(section: &'static str, key: &'static str, value: &str) -> Setting {
        Setting { section, key, value: value.to_owned() }
    }

    fn least() -> Vec<Setting> {
        vec![
            set("broker", "url", "\"mqtt://broker\""),
            set("source", "type", "\"file\""),
            set("source", "paths", "[\"/a\"]"),
        ]
    }

    fn parse(text: &str) -> Config {
        Config::parse(Path::new("agent.toml"), text, Some("0123456789abcdef0123456789abcdef"))
            .unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    #[test]
    fn a_draft_says_what_was_set_in_it_and_otherwise_every_default() {
        let bare = "[broker]\nurl = \"mqtt://broker\"\n[[source]]\ntype = \"file\"\npaths = [\"/a\"]\n";
        let text = draft("one\ntwo", &least());
        assert!(text.starts_with("# one\n# two\n\n"), "{text}");
        assert_eq!(parse(&text), parse(bare));
        let more = [set("", "device_id", "\"pump-7\""), set("spool.bulk", "bytes_max", "2097152")];
        let config = parse(&draft("", &[least(), more.into()].concat()));
        assert_eq!(config.device_id.as_str(), "pump-7");
        assert_eq!((config.spool.bulk.bytes_max, config.spool.urgent.bytes_max), (2 << 20, 16 << 20));
    }

    #[test]
    fn a_draft_has_every_line_of_the_example_set_or_commented() {
        let text = draft("", &least());
        let written: Vec<&str> = text.lines().map(|line| line.trim_start_matches('#')).collect();
        for line in EXAMPLE.lines().skip_while(|line| !line.is_empty()) {
            let line = line.trim_start_matches('#');
            let is_set = ["url", "paths"].iter().any(|key| line.starts_with(&format!("{key} = ")));
            assert!(is_set || written.contains(&line), "{line}");
        }
    }
}
