//! The floor of the way to Kafka: a bare librdkafka producer that writes the same documents, under the same
//! key and with the same settings, in as large transactions. No ledger, no marks, no order to restore.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

/// The program: `producer BROKERS TOPIC FILE COUNT`, so many documents of a file in each transaction. Says in
/// the end how long it took, and how long it was on a processor.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<String> =
        args.into_iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let [brokers, topic, file, count] = args.as_slice() else { return ExitCode::from(2) };
    let count = count.parse().unwrap_or(1_000);
    match produce(brokers, topic, file, count) {
        Ok((time, cpu)) => {
            let _ = writeln!(io::stdout().lock(), "{} {}", time.as_nanos(), cpu.as_nanos());
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(io::stderr().lock(), "producer: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(feature = "kafka"))]
fn produce(_: &str, _: &str, _: &str, _: usize) -> Result<(Duration, Duration), String> {
    Err("this build has no Kafka: --features kafka".to_owned())
}

#[cfg(feature = "kafka")]
fn produce(brokers: &str, topic: &str, file: &str, count: usize) -> Result<(Duration, Duration), String> {
    use rdkafka::config::ClientConfig;
    use rdkafka::error::{KafkaError, RDKafkaErrorCode};
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
    use rustix::time::{ClockId, clock_gettime};

    const WAIT: Duration = Duration::from_secs(60);
    let told = |error: KafkaError| error.to_string();
    let text = std::fs::read(file).map_err(|error| format!("{file}: {error}"))?;
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let kafka = driftlog_gateway::config::Config::default().kafka;
    let compression = format!("{:?}", kafka.compression).to_lowercase();
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", brokers)
        .set("transactional.id", "bare")
        .set("compression.codec", compression)
        .set("linger.ms", kafka.linger_ms.to_string())
        .set("partitioner", "murmur2_random");
    if let Some(level) = kafka.compression.level() {
        client.set("compression.level", level.to_string());
    }
    let producer: BaseProducer = client.create().map_err(told)?;
    producer.init_transactions(WAIT).map_err(told)?;
    let began = crate::clock::now();
    for lines in lines.chunks(count.max(1)) {
        producer.begin_transaction().map_err(told)?;
        for line in lines {
            let mut record = BaseRecord::to(topic).key("device").payload(*line);
            while let Err((error, same)) = producer.send(record) {
                if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                    return Err(told(error));
                }
                record = same;
                producer.poll(Duration::from_millis(5));
            }
            producer.poll(Duration::ZERO);
        }
        producer.commit_transaction(WAIT).map_err(told)?;
    }
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let cpu = Duration::new(cpu.tv_sec.unsigned_abs(), u32::try_from(cpu.tv_nsec).unwrap_or(0));
    Ok((crate::clock::now() - began, cpu))
}
