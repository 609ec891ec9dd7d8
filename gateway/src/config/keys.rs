//! Every key of the configuration, in one table: the check for unknown keys, the hints and
//! `docs/configure-gateway.md` are made from it.

/// A key of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name with its section, such as `broker.listen`.
    pub name: &'static str,
    /// Its value when it is not given, as it would stand in the file; empty where there is none.
    pub default: &'static str,
    /// What a value looks like: completes "takes …".
    pub takes: &'static str,
    /// What it decides.
    pub what: &'static str,
}

const fn key(name: &'static str, default: &'static str, takes: &'static str, what: &'static str) -> Key {
    Key { name, default, takes, what }
}

const FILE: &str = "the path of a file that can be read";
const BYTES: &str = "a number of bytes such as 67108864";

/// Every key.
pub const KEYS: &[Key] = &[
    key(
        "data_dir",
        "\"driftlog-data\"",
        "the path of a directory",
        "Holds ledger, archive and lock; made when it is missing.",
    ),
    key(
        "broker.listen",
        "\"127.0.0.1:1883\"",
        "an address and a port such as \"127.0.0.1:1883\"",
        "Where the embedded broker listens. It knows no access rules: on anything but loopback every device that reaches it is let in.",
    ),
    key(
        "broker.url",
        "",
        "mqtt://HOST:PORT or mqtts://HOST:PORT",
        "Another broker, in place of the embedded one.",
    ),
    key("broker.username", "", "a name", "The user at that broker."),
    key(
        "broker.password_file",
        "",
        FILE,
        "Holds the user's password; a line break at its end does not count.",
    ),
    key(
        "broker.ca_file",
        "",
        FILE,
        "Certificates (PEM) of those who may vouch for that broker; without it the system's.",
    ),
    key("broker.cert_file", "", FILE, "The gateway's own certificate (PEM), for brokers that ask for one."),
    key("broker.key_file", "", FILE, "The key (PEM) of that certificate."),
    key(
        "broker.client_id",
        "",
        "1 to 64 of A-Z a-z 0-9 . _ -",
        "The MQTT client id; without it one is made at each start. Two gateways must not share one.",
    ),
    key(
        "broker.keep_alive_s",
        "30",
        "a number of seconds from 5 to 3600",
        "How often a quiet connection is tried.",
    ),
    key("archive.enabled", "true", "true or false", "Whether records are written to files in data_dir."),
    key(
        "archive.required",
        "true",
        "true or false",
        "Whether an acknowledgement waits for the archive. If not, it misses what it does not take in time, and says so.",
    ),
    key(
        "archive.file_bytes_max",
        "268435456",
        BYTES,
        "A file of the archive that has reached this is closed.",
    ),
    key("archive.compress", "true", "true or false", "Whether closed files are compressed with zstd."),
    key("archive.retention_days", "0", "a number of days", "Files older than this are removed; 0 keeps all."),
    key(
        "archive.retention_bytes_max",
        "0",
        BYTES,
        "The oldest files are removed while all together are larger; 0 keeps all.",
    ),
    key(
        "kafka.brokers",
        "[]",
        "a list of HOST:PORT",
        "Some brokers of a Kafka cluster that takes the records, and keeps the ledger in place of data_dir.",
    ),
    key(
        "kafka.topic",
        "\"driftlog.records\"",
        "the name of a topic",
        "Takes the records; the key is the device.",
    ),
    key(
        "kafka.ledger_topic",
        "\"driftlog.ledger\"",
        "the name of a topic",
        "Keeps the ledger: compacted, one partition, one for each region. It is the gateway's transactional id too, with `-0` behind it.",
    ),
    key("kafka.create_topics", "true", "true or false", "Whether a topic that is missing is made."),
    key("kafka.partitions", "12", "a number above 0", "Partitions of a topic of records that is made."),
    key(
        "kafka.replication",
        "0",
        "a number up to 64",
        "Copies of a topic that is made; 0: as the brokers are set up.",
    ),
    key(
        "kafka.compression",
        "\"zstd\"",
        "\"none\", \"gzip\", \"snappy\", \"lz4\" or \"zstd\"",
        "How records are compressed.",
    ),
    key(
        "kafka.linger_ms",
        "5",
        "milliseconds up to 1000",
        "How long a record may wait for others to travel with.",
    ),
    key(
        "kafka.message_bytes_max",
        "1000000",
        "a number of bytes from 65536 to 100000000",
        "A longer document becomes a dead letter; the topic's max.message.bytes counts where it is less.",
    ),
    key(
        "kafka.transaction_timeout_ms",
        "60000",
        "milliseconds from 10000 to 900000",
        "After this long Kafka gives up a transaction of a gateway that has vanished.",
    ),
    key("kafka.tls", "false", "true or false", "Whether connections are encrypted."),
    key(
        "kafka.ca_file",
        "",
        FILE,
        "Certificates (PEM) of those who may vouch for the brokers; without it the system's.",
    ),
    key("kafka.cert_file", "", FILE, "The gateway's own certificate (PEM), for brokers that ask for one."),
    key("kafka.key_file", "", FILE, "The key (PEM) of that certificate."),
    key(
        "kafka.sasl",
        "",
        "\"plain\", \"scram-sha-256\" or \"scram-sha-512\"",
        "How the gateway says who it is, with username and password_file; plain only with tls.",
    ),
    key("kafka.username", "", "a name", "The user at the brokers."),
    key(
        "kafka.password_file",
        "",
        FILE,
        "Holds the user's password; a line break at its end does not count.",
    ),
    key(
        "search.urls",
        "[]",
        "a list of http:// or https:// addresses",
        "The nodes of an Elasticsearch or OpenSearch cluster that takes the records, in the order in which they are tried.",
    ),
    key(
        "search.required",
        "true",
        "true or false",
        "Whether an acknowledgement waits for the cluster. If not, it misses what it does not take in time, and says so.",
    ),
    key(
        "search.alias",
        "\"driftlog\"",
        "the name of an index",
        "The alias under which all indexes are read; their names are this and a number.",
    ),
    key("search.username", "", "a name", "The user at the cluster."),
    key(
        "search.password_file",
        "",
        FILE,
        "Holds the user's password; a line break at its end does not count.",
    ),
    key(
        "search.api_key_file",
        "",
        FILE,
        "Holds an API key (encoded, as the cluster shows it), in place of a user.",
    ),
    key(
        "search.ca_file",
        "",
        FILE,
        "Certificates (PEM) of those who may vouch for the cluster; without it the system's.",
    ),
    key(
        "search.request_bytes_max",
        "4194304",
        BYTES,
        "Bytes of one bulk request before compression; a longer document goes alone.",
    ),
    key("search.in_flight", "4", "a number from 1 to 64", "Bulk requests that are under way at once."),
    key(
        "search.timeout_ms",
        "60000",
        "milliseconds from 1000 to 600000",
        "How long an answer is waited for; then the request is sent again.",
    ),
    key("search.gzip", "true", "true or false", "Whether requests are compressed."),
    key(
        "search.index_bytes_max",
        "34359738368",
        BYTES,
        "Bytes of an index, without its replicas, before the next one begins.",
    ),
    key(
        "search.index_age_ms_max",
        "604800000",
        "milliseconds, at least 60000",
        "The age at which the next index begins, if there is anything in this one.",
    ),
    key(
        "search.index_kept_ms",
        "0",
        "milliseconds, at least 1000, or 0",
        "How long an index is kept after the next one began; then it is deleted. 0: for ever.",
    ),
    key(
        "receive.memory_bytes_max",
        "67108864",
        BYTES,
        "Memory for what has arrived and is not yet durable, all devices together. The next item of each lane may \
         pass it, up to twice this number.",
    ),
    key("receive.credit_bytes_max", "1048576", BYTES, "How much one lane of a device may have on the air."),
    key(
        "receive.message_rate_max",
        "2000",
        "a number above 0",
        "Messages that one device may send in a second.",
    ),
    key(
        "devices.allow",
        "[\"*\"]",
        "a list of device names such as [\"pump-*\"]",
        "Devices that are served; `*` stands for any characters.",
    ),
    key(
        "devices.quarantine",
        "[]",
        "a list of device names such as [\"pump-7\"]",
        "Devices that are refused although they are allowed.",
    ),
    key(
        "web.listen",
        "\"127.0.0.1:9464\"",
        "an address and a port such as \"127.0.0.1:9464\"",
        "Where /metrics, /healthz, /readyz and /status are served.",
    ),
    key(
        "log.level",
        "\"info\"",
        "\"error\", \"warn\", \"info\", \"debug\" or \"trace\"",
        "What is written to stderr.",
    ),
    key(
        "log.format",
        "\"text\"",
        "\"text\" or \"json\"",
        "How a line looks: for people, or one JSON object (ECS) a line.",
    ),
    key(
        "trial.clock_file",
        "",
        FILE,
        "For trials only: `wall_offset_ms=…` and `drift_ppm=…` in this file put the clock wrong; read again when it changes.",
    ),
];
