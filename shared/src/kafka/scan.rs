use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::BorrowedMessage,
};

use super::{settings::KafkaSettings, topic::partition_count};

/// Timeout of the request that looks offsets up by time.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout between two records.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads `topic` to its end and calls `visit` for each record. It starts at the first record whose timestamp is `from`
/// or later, or at the beginning of the topic. It joins no group and commits no offset. A topic that does not exist
/// counts as empty. Blocks.
///
/// # Errors
/// When the cluster does not answer, when no record arrives for 30 s before the end, or when `visit` fails.
pub fn scan(
    kafka: &KafkaSettings,
    topic: &str,
    from: Option<DateTime<Utc>>,
    mut visit: impl FnMut(&BorrowedMessage<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    // librdkafka requires a group id to assign partitions.
    let role = [
        ("group.id", "orderflow-scan"),
        ("enable.auto.commit", "false"),
        ("enable.partition.eof", "true"),
        ("auto.offset.reset", "error"),
    ];
    kafka.ensure_reachable()?;
    let client: BaseConsumer = kafka.client(&role).create().context("the Kafka settings are not usable")?;
    let partitions = partition_count(&client, topic)?;
    if partitions == 0 {
        return Ok(());
    }
    let start = start_offsets(&client, topic, partitions, from)?;
    client.assign(&start).with_context(|| format!("topic {topic} can't be read"))?;

    let mut at_end = vec![false; partitions as usize];
    let mut last_record = Instant::now();
    while !at_end.iter().all(|at_end| *at_end) {
        match client.poll(Duration::from_millis(200)) {
            Some(Ok(record)) => {
                last_record = Instant::now();
                visit(&record)?;
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => at_end[partition as usize] = true,
            Some(Err(error)) => tracing::debug!(topic, %error, "reading the topic: error, retrying"),
            None => {}
        }
        if last_record.elapsed() > STALL_TIMEOUT {
            bail!("topic {topic} can't be read to its end: no record for {} s", STALL_TIMEOUT.as_secs());
        }
    }
    Ok(())
}

fn start_offsets(
    client: &BaseConsumer,
    topic: &str,
    partitions: i32,
    from: Option<DateTime<Utc>>,
) -> anyhow::Result<TopicPartitionList> {
    let mut offsets = TopicPartitionList::new();
    for partition in 0..partitions {
        // For the lookup by time, the offset field has the timestamp.
        let offset = from.map_or(Offset::Beginning, |from| Offset::Offset(from.timestamp_millis().max(0)));
        offsets.add_partition_offset(topic, partition, offset)?;
    }
    match from {
        None => Ok(offsets),
        Some(_) => client
            .offsets_for_times(offsets, REQUEST_TIMEOUT)
            .with_context(|| format!("the offsets of topic {topic} can't be looked up by time")),
    }
}
