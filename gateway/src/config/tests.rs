//! Mistakes as an operator sees them, word by word, and the documentation against the code.

use super::*;
use keys::KEYS;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(Path::new("gateway.toml"), text)
}

/// The message for this mistake.
fn mistake(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

#[test]
fn an_empty_file_is_the_same_as_none() {
    let empty = toml::to_string(&parse("").unwrap()).unwrap();
    assert_eq!(empty, toml::to_string(&Config::load(None).unwrap()).unwrap());
}

#[test]
fn a_file_that_is_not_there_is_named() {
    assert_eq!(
        Config::load(Some(Path::new("/nowhere/gateway.toml"))).unwrap_err().to_string(),
        "/nowhere/gateway.toml: cannot read the configuration: No such file or directory (os error 2)\n\
         hint: give the path of a TOML file, or leave --config out to run on embedded defaults"
    );
}

#[test]
fn text_that_is_not_toml_is_shown_by_its_line() {
    assert_eq!(mistake("data_dir = \"d\"\n[broker\n"), "gateway.toml:2: unclosed table, expected `]`");
    assert_eq!(
        mistake("data_dir = d\n"),
        "gateway.toml:1: string values must be quoted, expected literal string"
    );
    assert_eq!(mistake("data_dir = \"a\"\ndata_dir = \"b\"\n"), "gateway.toml:2: duplicate key");
}

#[test]
fn an_unknown_key_is_answered_with_the_nearest_known_one() {
    assert_eq!(
        mistake("\n[broker]\nlisen = \"127.0.0.1:1\"\n"),
        "gateway.toml:3: unknown key `broker.lisen`\nhint: did you mean `broker.listen`?"
    );
    assert_eq!(
        mistake("datadir = \"d\"\n"),
        "gateway.toml:1: unknown key `datadir`\nhint: did you mean `data_dir`?"
    );
    assert_eq!(
        mistake("[archives]\ncompress = true\n"),
        "gateway.toml:1: unknown key `archives`\nhint: did you mean `archive`?"
    );
    assert_eq!(
        mistake("[broker]\ncompress = true\n"),
        "gateway.toml:2: unknown key `broker.compress`\nhint: did you mean `archive.compress`?"
    );
    assert_eq!(
        mistake("[broker]\nlisten.port = 5\n"),
        "gateway.toml:2: unknown key `broker.listen.port`\nhint: did you mean `broker.listen`?"
    );
    assert_eq!(
        mistake("[pulsar]\nbrokers = []\n"),
        "gateway.toml:1: unknown key `pulsar`\nhint: docs/configure-gateway.md lists every key"
    );
}

#[test]
fn a_value_of_another_kind_is_answered_with_what_the_key_takes() {
    assert_eq!(
        mistake("[web]\nlisten = 9464\n"),
        "gateway.toml:2: web.listen: invalid type: integer `9464`, expected socket address\nhint: `web.listen` \
         takes an address and a port such as \"127.0.0.1:9464\""
    );
    assert_eq!(
        mistake("[web]\nlisten = \"localhost:9464\"\n"),
        "gateway.toml:2: web.listen: invalid socket address syntax\nhint: `web.listen` takes an address and a \
         port such as \"127.0.0.1:9464\""
    );
    assert_eq!(
        mistake("[archive]\nfile_bytes_max = -1\n"),
        "gateway.toml:2: archive.file_bytes_max: invalid value: integer `-1`, expected u64\nhint: \
         `archive.file_bytes_max` takes a number of bytes such as 67108864"
    );
    assert_eq!(
        mistake("[log]\nlevel = \"loud\"\n"),
        "gateway.toml:2: log.level: unknown variant `loud`, expected one of `error`, `warn`, `info`, `debug`, \
         `trace`\nhint: `log.level` takes \"error\", \"warn\", \"info\", \"debug\" or \"trace\""
    );
    assert_eq!(
        mistake("archive = 5\n"),
        "gateway.toml:1: archive: is a section and takes no value\nhint: write [archive] and its keys on the lines \
         below"
    );
}

#[test]
fn a_value_out_of_bounds_is_answered_with_the_bound() {
    assert_eq!(
        mistake("[archive]\n\nfile_bytes_max = 1000\n"),
        "gateway.toml:3: archive.file_bytes_max: 1000 is less than 1 MiB\nhint: `archive.file_bytes_max` takes \
         a number of bytes such as 67108864"
    );
    assert_eq!(
        mistake("[archive]\nretention_bytes_max = 5000000\n"),
        "gateway.toml:2: archive.retention_bytes_max: 5000000 is less than one file (archive.file_bytes_max)\n\
         hint: `archive.retention_bytes_max` takes a number of bytes such as 67108864"
    );
    assert_eq!(
        mistake("[receive]\nmemory_bytes_max = 5\n"),
        "gateway.toml:2: receive.memory_bytes_max: 5 is less than 1 MiB\nhint: `receive.memory_bytes_max` takes \
         a number of bytes such as 67108864"
    );
    assert_eq!(
        mistake("[receive]\ncredit_bytes_max = 5\n"),
        "gateway.toml:2: receive.credit_bytes_max: 5 is less than one message of 131072 bytes\nhint: \
         `receive.credit_bytes_max` takes a number of bytes such as 67108864"
    );
    assert_eq!(
        mistake("[receive]\ncredit_bytes_max = 4000000000\n"),
        "gateway.toml:2: receive.credit_bytes_max: 4000000000 is more than all memory \
         (receive.memory_bytes_max)\nhint: `receive.credit_bytes_max` takes a number of bytes such as 67108864"
    );
    assert_eq!(
        mistake("receive.message_rate_max = 0\n"),
        "gateway.toml:1: receive.message_rate_max: 0 would refuse every message\nhint: \
         `receive.message_rate_max` takes a number above 0"
    );
    assert_eq!(
        mistake("[devices]\nallow = [\"pump-*\", \"a b\"]\n"),
        "gateway.toml:2: devices.allow: \"a b\" is not the name of a device (1 to 64 of A-Z a-z 0-9 . _ - and \
         *)\nhint: `devices.allow` takes a list of device names such as [\"pump-*\"]"
    );
    assert_eq!(
        mistake("data_dir = \"\"\n"),
        "gateway.toml:1: data_dir: \"\" names no directory\nhint: `data_dir` takes the path of a directory"
    );
}

#[test]
fn what_contradicts_itself_about_the_broker_is_said_so() {
    assert_eq!(
        mistake("[broker]\nlisten = \"127.0.0.1:1883\"\nurl = \"mqtt://b\"\n"),
        "gateway.toml:2: broker.listen: stands beside `broker.url`: the embedded broker and another one\nhint: \
         leave one of the two out"
    );
    assert_eq!(
        mistake("[broker]\nusername = \"u\"\n"),
        "gateway.toml:2: broker.username: has no meaning for the embedded broker\nhint: give `broker.url` to \
         use another broker, or leave this out"
    );
    assert_eq!(
        mistake("[broker]\nurl = \"http://b\"\n"),
        "gateway.toml:2: broker.url: \"http://b\" is not the URL of a broker\nhint: `broker.url` takes \
         mqtt://HOST:PORT or mqtts://HOST:PORT"
    );
    assert_eq!(
        mistake("[broker]\nurl = \"mqtt://b\"\nkeep_alive_s = 1\n"),
        "gateway.toml:3: broker.keep_alive_s: 1 is out of bounds\nhint: `broker.keep_alive_s` takes a number \
         of seconds from 5 to 3600"
    );
    assert_eq!(
        mistake("[broker]\nurl = \"mqtt://b\"\nclient_id = \"a b\"\n"),
        "gateway.toml:3: broker.client_id: \"a b\" is not a client id\nhint: `broker.client_id` takes 1 to 64 \
         of A-Z a-z 0-9 . _ -"
    );
    assert_eq!(
        mistake("[broker]\nurl = \"mqtt://b\"\npassword_file = \"p\"\n"),
        "gateway.toml:3: broker.password_file: stands without `broker.username`\nhint: give \
         `broker.username`, too"
    );
    assert_eq!(
        mistake("[broker]\nurl = \"mqtt://b\"\nusername = \"u\"\npassword_file = \"/nowhere/p\"\n"),
        "gateway.toml:4: broker.password_file: \"/nowhere/p\" cannot be read: No such file or directory (os \
         error 2)\nhint: `broker.password_file` takes the path of a file that can be read"
    );
    assert_eq!(
        mistake("[broker]\nurl = \"mqtt://b\"\nca_file = \"ca.pem\"\n"),
        "gateway.toml:3: broker.ca_file: has no meaning for a connection without TLS\nhint: write `broker.url` \
         with mqtts://, or leave this out"
    );
    assert_eq!(
        mistake("[broker]\nurl = \"mqtts://b\"\ncert_file = \"c.pem\"\n"),
        "gateway.toml:3: broker.cert_file: stands without `broker.key_file`\nhint: give `broker.key_file`, too"
    );
}

#[test]
fn a_file_of_certificates_that_holds_none_is_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, "not a certificate\n").unwrap();
    let shown = file.display();
    assert_eq!(
        mistake(&format!("[broker]\nurl = \"mqtts://b\"\nca_file = \"{shown}\"\n")),
        format!(
            "gateway.toml:3: broker.ca_file: \"{shown}\" cannot be used: it holds no certificate\nhint: the \
             file must hold PEM blocks of that kind"
        )
    );
}

#[test]
fn a_trial_s_clock_that_cannot_be_read_is_a_mistake() {
    assert_eq!(
        mistake("[trial]\nclock_file = \"/nowhere/clock\"\n"),
        "gateway.toml:2: trial.clock_file: /nowhere/clock cannot be read: No such file or directory (os error 2)"
    );
}

#[test]
fn a_complete_file_is_taken_as_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "secret\r\n").unwrap();
    let text = format!(
        "data_dir = \"/var/lib/driftlog-gateway\"\n[broker]\nurl = \"mqtt://b:1884\"\nusername = \"u\"\n\
         password_file = \"{}\"\nclient_id = \"shore\"\n[devices]\nallow = [\"pump-*\"]\nquarantine = [\"pump-7\"]\n",
        password.display()
    );
    let config = parse(&text).unwrap();
    let client = config.broker.client.as_ref().unwrap();
    assert_eq!(client.address(), "b:1884");
    assert!(!format!("{config:?}").contains("secret"), "a password is not shown");
    let refusal = |name| config.devices.refusal(&DeviceId::new(name).unwrap());
    assert_eq!(refusal("pump-8"), None);
    assert_eq!(refusal("pump-7"), Some(Refusal::Quarantined));
    assert_eq!(refusal("valve-1"), Some(Refusal::DeviceNotAllowed));
}

#[test]
fn a_pattern_s_star_stands_for_any_characters() {
    let fits = |pattern: &str, name: &str| matches(pattern.as_bytes(), name.as_bytes());
    for (pattern, name) in
        [("*", "a"), ("a*", "a"), ("*a", "ba"), ("a*b*c", "a-b-b-c"), ("a", "a"), ("**", "x")]
    {
        assert!(fits(pattern, name), "{pattern} {name}");
    }
    for (pattern, name) in
        [("a*", "b"), ("*a", "ab"), ("a*b*c", "a-c-b"), ("a", "aa"), ("aa", "a"), ("", "a")]
    {
        assert!(!fits(pattern, name), "{pattern} {name}");
    }
}

/// Every value of a table with the whole name of its key.
fn flat(prefix: &str, table: &toml::Table, into: &mut Vec<(String, String)>) {
    for (name, value) in table {
        let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(inner) => flat(&name, inner, into),
            value => into.push((name, value.to_string())),
        }
    }
}

#[test]
fn the_table_of_keys_states_the_defaults_that_the_code_has() {
    let defaults = toml::Table::try_from(Config::default()).unwrap();
    let mut in_code = Vec::new();
    flat("", &defaults, &mut in_code);
    in_code.sort();
    let mut in_table: Vec<_> = KEYS
        .iter()
        .filter(|key| !key.default.is_empty())
        .map(|key| (key.name.to_owned(), key.default.to_owned()))
        .collect();
    in_table.sort();
    assert_eq!(in_table, in_code);
}

#[test]
fn every_key_of_the_table_is_one_that_the_code_takes() {
    for key in KEYS {
        // A value of a kind that no key takes: the code says so only if it knows the key.
        let text = format!("{} = 1979-05-27\n", key.name);
        let error = toml::from_str::<Config>(&text).expect_err(key.name);
        assert!(!error.message().contains("unknown field"), "{}: {}", key.name, error.message());
    }
}

#[test]
fn the_documentation_lists_every_key_as_the_code_does() {
    let mut table = String::from("| key | default | takes | what it decides |\n| --- | --- | --- | --- |\n");
    for keys::Key { name, default, takes, what } in KEYS {
        let default = if default.is_empty() { String::new() } else { format!("`{default}`") };
        table.push_str(&format!("| `{name}` | {default} | {takes} | {what} |\n"));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configure-gateway.md");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(&table), "docs/configure-gateway.md must hold this table:\n{table}");
}

#[test]
fn the_example_that_ships_is_good_and_shows_every_key() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("driftlog-gateway.example.toml");
    Config::load(Some(&path)).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    for key in KEYS {
        let name = key.name.rsplit('.').next().unwrap();
        let shown = text.lines().any(|line| {
            line.trim_start_matches(['#', ' ']).strip_prefix(name).is_some_and(|rest| rest.starts_with(" ="))
        });
        assert!(shown, "the example does not show `{}`", key.name);
    }
}

#[test]
fn what_is_wrong_with_kafka_is_said_so() {
    let kafka = |text: &str| mistake(&format!("[kafka]\n{text}\n"));
    assert!(kafka("brokers = [\"kafka-1\"]").contains("is not HOST:PORT"));
    assert!(kafka("topic = \"a topic\"").contains("is not the name of a topic"));
    assert!(kafka("ledger_topic = \"driftlog.records\"").contains("compaction would remove them"));
    assert!(kafka("partitions = 0").contains("is not 1 or more"));
    assert!(kafka("replication = 65").contains("is more than 64"));
    assert!(kafka("linger_ms = 1001").contains("is more than 1000"));
    assert!(kafka("message_bytes_max = 65535").contains("is not between"));
    assert!(kafka("transaction_timeout_ms = 9999").contains("is not between"));
    assert!(kafka("username = \"u\"").contains("go together"));
    assert!(kafka("cert_file = \"c\"").contains("go together"));
    assert!(kafka("ca_file = \"/nowhere\"").contains("tls = true"));
    assert!(kafka("tls = true\nca_file = \"/nowhere\"").contains("/nowhere"));
    let plain = "sasl = \"plain\"\nusername = \"u\"\npassword_file = \"/dev/null\"";
    assert!(kafka(plain).contains("it needs tls = true"));
    let built = Config::parse(Path::new("gateway.toml"), "[kafka]\nbrokers = [\"kafka-1:9092\"]\n");
    match built {
        Ok(config) => assert!(cfg!(feature = "kafka") && config.kafka.is_on()),
        Err(error) => assert!(!cfg!(feature = "kafka") && error.to_string().contains("built without Kafka")),
    }
}
