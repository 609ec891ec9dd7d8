//! The ledger in Kafka, from the topic of records.

use super::marks::Marks;
use crate::sink::ecs::document::Outline;
use crate::sink::kafka::{Instance, KAFKA, KafkaConfig, Link, Trouble, documents, is_whole};

/// Makes a ledger in the compacted topic, which must hold none; what was done, in a sentence. Whatever
/// gateway still writes to it is fenced.
///
/// # Errors
/// What Kafka said, or that there is a ledger.
pub(crate) fn rebuild_in_kafka(
    config: &KafkaConfig,
    instance: Instance,
    without_marks: bool,
) -> Result<String, String> {
    let mut link = Link::new(config.clone(), instance, true, true);
    link.connect().map_err(Trouble::reason)?;
    if link.entries().read().keys().any(|key| key.starts_with(b"lane/")) {
        return Err(format!(
            "there is a ledger in the topic {} already: a rebuilt one would know less\nhint: if it is damaged, delete that \
             topic first, or name another with kafka.ledger_topic",
            config.ledger_topic
        ));
    }
    let mut marks = Marks::new(KAFKA, !is_whole(config)?);
    let (mut count, mut damaged) = (0_u64, 0_u64);
    if !without_marks {
        documents(config, &mut |document| {
            count += 1;
            match Outline::parse(document) {
                Ok(outline) => outline.end().into_iter().for_each(|end| marks.follow(&outline, end)),
                Err(_) => damaged += 1,
            }
            Ok(())
        })?;
    }
    let (runs, lanes) = (marks.runs(), marks.lanes());
    link.make_ledger(marks.writes().collect()).map_err(Trouble::reason)?;
    let hint = if damaged > 0 {
        format!("\n{damaged} messages are no documents\nhint: see `driftlog-gateway audit --sink kafka`")
    } else {
        String::new()
    };
    Ok(format!(
        "topic {}: {count} documents; the new ledger has {runs} runs in {lanes} lanes{hint}",
        config.topic
    ))
}
