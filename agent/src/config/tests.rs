//! What a person is told about a configuration that is wrong, word for word.

use std::path::Path;

use driftlog_proto::ids::Lane;

use super::*;

const EXAMPLE: &str = include_str!("../../driftlog-agent.example.toml");
const TABLE: &str = include_str!("../../../docs/configure-agent.md");
const LEAST: &str = "[broker]\nurl = \"mqtt://broker\"\n[[source]]\ntype = \"stdin\"\n";
const MACHINE: Option<&str> = Some("0123456789abcdef0123456789abcdef\n");

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(Path::new("agent.toml"), text, MACHINE)
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    let error = parse(text).expect_err("this configuration is wrong");
    assert_eq!(error.to_string(), expected);
}

/// The least configuration with lines put into `[broker]`.
fn broker(lines: &str) -> String {
    LEAST.replacen("[[source]]", &format!("{lines}\n[[source]]"), 1)
}

#[test]
fn the_example_is_valid_and_says_the_defaults() {
    let example = parse(EXAMPLE).unwrap();
    assert_eq!(example.device_id.as_str(), "pump-7");
    assert_eq!(example.labels.len(), 2);
    let least = parse(LEAST).unwrap();
    assert_eq!(example.spool, least.spool);
    assert_eq!(example.state_dir, least.state_dir);
    assert_eq!(example.log_level, least.log_level);
    assert_eq!(BrokerConfig { host: "broker".to_owned(), ..example.broker }, least.broker);
}

#[test]
fn the_least_configuration_takes_the_machine_id_and_every_default() {
    let config = parse(LEAST).unwrap();
    assert_eq!(config.device_id.as_str(), "0123456789abcdef0123456789abcdef");
    assert_eq!(config.sources, [SourceConfig::Stdin { idle_line_ms: 5_000 }]);
    assert!(config.reads_stdin());
    assert_eq!((config.broker.host.as_str(), config.broker.port), ("broker", 1883));
    assert_eq!(config.broker.tls, None);
    assert_eq!(config.spool.durability, Durability::Block);
    assert_eq!(config.spool.lane(Lane::Bulk).bytes_max, 256 << 20);
    assert_eq!(config.spool.lane(Lane::Urgent).bytes_max, 16 << 20);
    assert_eq!(config.spool.urgent_severity_min, Some(17));
}

/// The keys that the code asks for when every section is there.
fn keys() -> Vec<String> {
    let text = "[[source]]\ntype = \"file\"\npaths = \"/a\"\n[[source]]\ntype = \"stdin\"\n";
    let document = Document::new(text);
    let table = document.parse().unwrap();
    read(document.root(table.get_ref()), MACHINE);
    document.keys()
}

#[test]
fn the_table_in_the_docs_and_the_example_list_exactly_the_keys_that_are_read() {
    let mut keys = keys();
    keys.sort();
    let mut listed: Vec<_> = TABLE
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(key, _)| key.to_owned()))
        .collect();
    listed.sort();
    assert_eq!(listed, keys);
    let mut shown = Vec::new();
    let mut section = String::new();
    for line in EXAMPLE.lines().map(|line| line.trim_start_matches('#')) {
        if let Some(name) = line.strip_prefix('[') {
            name.trim_matches(['[', ']']).clone_into(&mut section);
            if section == "labels" {
                shown.push(section.clone());
            }
        } else if let Some((key, _)) = line.split_once(" = ").filter(|(key, _)| !key.contains(' ')) {
            let full = if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
            if section != "labels" && !shown.contains(&full) {
                shown.push(full);
            }
        }
    }
    shown.sort();
    assert_eq!(shown, keys);
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
    refused(
        &broker("keep_alive = 30"),
        "error: agent.toml:3: unknown key `keep_alive` in [broker]\nhint: did you mean `keep_alive_s`?",
    );
    refused(
        &format!("{LEAST}compression = 3\n"),
        "error: agent.toml:5: unknown key `compression` in [source]\nhint: known here: type, idle_line_ms",
    );
    refused(
        &format!("{LEAST}[brokr]\n"),
        "error: agent.toml:5: unknown key `brokr`\nhint: did you mean `broker`?",
    );
}

#[test]
fn a_wrong_type_is_named_with_what_was_found() {
    refused(
        &broker("keep_alive_s = \"30\""),
        "error: agent.toml:3: `broker.keep_alive_s` must be a whole number, not text",
    );
    refused(
        &broker("username = 7"),
        "error: agent.toml:3: `broker.username` must be text in quotes, not a whole number",
    );
    refused(
        "broker = 5\n[[source]]\ntype = \"stdin\"\n",
        "error: agent.toml: there is no [broker]\n\
         hint: say where the MQTT broker is: [broker] url = \"mqtt://127.0.0.1:1883\"\n\
         error: agent.toml:1: `broker` must be a table, not a whole number",
    );
    refused(
        "[broker]\nurl = \"mqtt://broker\"\n[source]\ntype = \"stdin\"\n",
        "error: agent.toml: there is no [[source]]: nothing would be read\n\
         hint: add [[source]] with type = \"file\" and paths = [\"/var/log/*.log\"]\n\
         error: agent.toml:3: `source` must be a list of tables\nhint: begin each with [[source]]",
    );
}

#[test]
fn what_is_missing_is_said_with_an_example() {
    refused(
        "[broker]\n[[source]]\ntype = \"file\"\n[[source]]\npaths = [\"/a\"]\n",
        "error: agent.toml: [broker] has no `url`\n\
         hint: say where the MQTT broker is: [broker] url = \"mqtt://127.0.0.1:1883\"\n\
         error: agent.toml:2: this [[source]] has no `paths`\n\
         hint: for example paths = [\"/var/log/*.log\"]\n\
         error: agent.toml:4: this [[source]] has no `type`\n\
         hint: type = \"file\" or type = \"stdin\"",
    );
    let error = Config::parse(Path::new("agent.toml"), LEAST, None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "error: agent.toml: `device_id` is not set, and /etc/machine-id holds none\n\
         hint: name this node, for example device_id = \"pump-7\""
    );
}

#[test]
fn a_number_out_of_range_is_shown_with_the_range() {
    refused(
        &broker("keep_alive_s = 4"),
        "error: agent.toml:3: `broker.keep_alive_s` is 4; it must lie between 5 and 3600",
    );
    refused(
        &broker("keep_alive_s = -1"),
        "error: agent.toml:3: `broker.keep_alive_s` is -1; it must lie between 5 and 3600",
    );
    refused(
        &broker("backoff_ms_max = 400\nbackoff_ms_min = 500"),
        "error: agent.toml:4: `broker.backoff_ms_min` is 500; it must lie between 10 and 400",
    );
    refused(
        &format!("{LEAST}[spool]\ndelay_ms_max = 400\ndelay_ms_min = 500\n"),
        "error: agent.toml:7: `spool.delay_ms_min` is 500; it must lie between 10 and 400",
    );
    refused(
        &broker("in_flight_bytes_max = 0x1000"),
        "error: agent.toml:3: `broker.in_flight_bytes_max` is 4096; it must lie between 131072 and 16777216",
    );
}

#[test]
fn a_lane_that_is_too_small_and_a_policy_that_is_none_are_refused() {
    refused(
        &format!("{LEAST}[spool]\nbulk.bytes_max = 1000\nurgent.overflow = \"drop-newest\"\n"),
        "error: agent.toml:6: `spool.bulk.bytes_max` is 1000; it must lie between 1048576 and 1099511627776\n\
         error: agent.toml:7: `spool.urgent.overflow` is \"drop-newest\"; it must be one of: drop-oldest, pause-sources\n\
         hint: did you mean \"drop-oldest\"?",
    );
}

#[test]
fn one_limit_of_the_delay_is_enough() {
    let delays = |keys: &str| {
        let spool = parse(&format!("{LEAST}[spool]\n{keys}\n")).unwrap().spool;
        (spool.delay_ms_min, spool.delay_ms_max, spool.delay_offline_ms_max)
    };
    assert_eq!(delays(""), (1_000, 4_500, 10_000));
    assert_eq!(delays("delay_ms_max = 200"), (200, 200, 10_000));
    assert_eq!(delays("delay_ms_max = 20000"), (1_000, 20_000, 10_000));
    assert_eq!(delays("delay_ms_min = 4500"), (4_500, 4_500, 10_000));
}

#[test]
fn the_urgent_lane_can_be_off() {
    let config = parse(&format!("{LEAST}[spool]\nurgent.severity_min = \"off\"\n")).unwrap();
    assert_eq!(config.spool.urgent_severity_min, None);
    let config = parse(&format!("{LEAST}[spool]\nurgent.severity_min = \"fatal\"\n")).unwrap();
    assert_eq!(config.spool.urgent_severity_min, Some(21));
}

#[test]
fn every_way_to_write_a_bad_url_is_told_apart() {
    let url = |url: &str| format!("[broker]\nurl = \"{url}\"\n[[source]]\ntype = \"stdin\"\n");
    let example = "for example mqtt://10.0.0.1:1883 or mqtts://broker.example.com:8883";
    for (bad, what, hint) in [
        ("10.0.0.1:1883", "it must begin with mqtt:// or mqtts://", example),
        ("http://broker", "it must begin with mqtt:// or mqtts://", example),
        ("mqtt://", "there is no host in it", example),
        ("mqtt://:1883", "there is no host in it", example),
        ("mqtt://a b", "there is no host in it", example),
        ("mqtt://broker:99999", "the port is not a number from 1 to 65535", example),
        ("mqtt://broker:0", "the port is not a number from 1 to 65535", example),
        ("mqtt://broker/path", "nothing may follow the port", example),
    ] {
        let expected = format!("error: agent.toml:2: `broker.url` is \"{bad}\": {what}\nhint: {hint}");
        refused(&url(bad), &expected);
    }
    for (good, host, port) in [
        ("mqtt://10.0.0.1", "10.0.0.1", 1883),
        ("mqtt://broker.example.com:1884/", "broker.example.com", 1884),
        ("mqtt://[::1]:1885", "[::1]", 1885),
    ] {
        let broker = parse(&url(good)).unwrap().broker;
        assert_eq!((broker.host.as_str(), broker.port), (host, port));
    }
}

#[test]
fn a_password_is_not_shown_even_in_an_error() {
    let url = |url: &str| format!("[broker]\nurl = \"{url}\"\n[[source]]\ntype = \"stdin\"\n");
    refused(
        &url("mqtt://user:hunter2@broker:1883"),
        "error: agent.toml:2: `broker.url` is \"mqtt://…@broker:1883\": it must not hold a user or a password\n\
         hint: use `broker.username` and `broker.password_file`, so that no secret is shown",
    );
    let error = parse(&url("user:hunter2@broker")).unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn standard_input_is_there_once() {
    refused(
        &format!("{LEAST}[[source]]\ntype = \"stdin\"\n"),
        "error: agent.toml:6: a second [[source]] of type \"stdin\"\n\
         hint: there is one standard input: remove one of them",
    );
}

#[test]
fn a_path_that_depends_on_the_working_directory_and_a_broken_pattern_are_refused() {
    refused(
        "[broker]\nurl = \"mqtt://broker\"\n[[source]]\ntype = \"file\"\npaths = [\n  \"app.log\",\n  \"/var/[a\",\n]\n",
        "error: agent.toml:6: the pattern \"app.log\" cannot be used: it is not an absolute path\n\
         hint: a path from the root; * ? [a-z] within a name, ** for any directories, [*] for a *\n\
         error: agent.toml:7: the pattern \"/var/[a\" cannot be used: invalid range pattern\n\
         hint: a path from the root; * ? [a-z] within a name, ** for any directories, [*] for a *",
    );
    refused(
        &format!("state_dir = \"spool\"\n{LEAST}"),
        "error: agent.toml:1: `state_dir` is \"spool\", which depends on where the agent is started\n\
         hint: give the path from the root, beginning with /",
    );
}

#[test]
fn a_device_id_or_a_label_that_the_wire_cannot_carry_is_refused() {
    refused(
        &format!("device_id = \"pump 7\"\n{LEAST}"),
        "error: agent.toml:1: `device_id` is \"pump 7\"\nhint: a device id has 1 to 64 of A-Z a-z 0-9 . _ -",
    );
    let long = "x".repeat(129);
    refused(
        &format!("labels.site = \"{long}\"\n{LEAST}"),
        "error: agent.toml:1: the value of label `site` has 129 bytes; at most 128 are carried",
    );
    let many: String = (0..17).map(|n| format!("labels.l{n} = \"x\"\n")).collect();
    refused(&format!("{many}{LEAST}"), "error: agent.toml:17: more than 16 labels");
}

#[test]
fn all_faults_of_a_file_are_reported_at_once_in_the_order_of_its_lines() {
    refused(
        "[broker]\nurl = \"mqtt://broker\"\nusrename = \"u\"\n[spool]\ndurability = \"blok\"\n[log]\nlevel = \"loud\"\n[[source]]\ntype = \"files\"\n",
        "error: agent.toml:3: unknown key `usrename` in [broker]\nhint: did you mean `username`?\n\
         error: agent.toml:5: `spool.durability` is \"blok\"; it must be one of: block, interval, none\n\
         hint: did you mean \"block\"?\n\
         error: agent.toml:7: `log.level` is \"loud\"; it must be one of: off, error, warn, info, debug, trace\n\
         error: agent.toml:9: `source.type` is \"files\"; it must be one of: file, stdin\n\
         hint: did you mean \"file\"?",
    );
}

#[test]
fn what_is_not_toml_is_shown_with_its_line() {
    let error = parse("[broker]\nurl = \"mqtt://broker\n").unwrap_err().to_string();
    assert!(error.starts_with("error: agent.toml:2: this is not TOML: "), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[cfg(feature = "tls")]
#[test]
fn certificates_and_passwords_are_read_while_the_configuration_is_checked() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let signed = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let (own, other) = (signed("broker"), signed("other"));
    let cert = file("cert.pem", &own.cert.pem());
    let key = file("key.pem", &own.signing_key.serialize_pem());
    let other_key = file("other.pem", &other.signing_key.serialize_pem());
    let no_pem = file("empty.pem", "nothing\n");
    let missing = dir.path().join("missing.pem").display().to_string();
    let tls = |lines: &str| broker(lines).replace("mqtt://", "mqtts://");

    let good = tls(&format!("ca_file = \"{cert}\"\ncert_file = \"{cert}\"\nkey_file = \"{key}\""));
    assert_eq!(parse(&good).unwrap().broker.port, 8883);
    refused(
        &tls(&format!("ca_file = \"{missing}\"")),
        &format!(
            "error: agent.toml:3: {missing}: cannot be read: No such file or directory (os error 2)\n\
             hint: give the certificate of whoever signed the broker's, in PEM"
        ),
    );
    refused(
        &tls(&format!("ca_file = \"{no_pem}\"")),
        &format!(
            "error: agent.toml:3: {no_pem}: holds no certificate in PEM\n\
             hint: give the certificate of whoever signed the broker's, in PEM"
        ),
    );
    refused(
        &tls(&format!("ca_file = \"{cert}\"\ncert_file = \"{cert}\"")),
        "error: agent.toml:4: `broker.cert_file` and `broker.key_file` go together\nhint: give both, or none",
    );
    refused(
        &tls(&format!("ca_file = \"{cert}\"\ncert_file = \"{cert}\"\nkey_file = \"{other_key}\"")),
        &format!(
            "error: agent.toml:5: {other_key}: is not the key of {cert}\n\
             hint: it must be readable by the agent, in PEM"
        ),
    );
    refused(
        &broker(&format!("ca_file = \"{cert}\"")),
        "error: agent.toml:3: `broker.ca_file` has no effect: `broker.url` is not encrypted\n\
         hint: use url = \"mqtts://broker\", or remove this line",
    );
    refused(
        &broker(&format!("password_file = \"{missing}\"")),
        &format!(
            "error: agent.toml:3: `broker.password_file` without `broker.username`\n\
             hint: MQTT 3.1.1 has no password without a user: add username\n\
             error: agent.toml:3: `broker.password_file`: cannot read {missing}: No such file or directory (os error 2)\n\
             hint: the agent's user must be allowed to read it"
        ),
    );
}

#[cfg(not(feature = "tls"))]
#[test]
fn an_agent_without_tls_refuses_an_encrypted_broker_and_says_why() {
    refused(
        &broker("").replace("mqtt://", "mqtts://"),
        "error: agent.toml:2: `broker.url` is \"mqtts://broker\": this agent is built without TLS\n\
         hint: use mqtt:// on a network that can be trusted, or an agent that is built with TLS",
    );
}
