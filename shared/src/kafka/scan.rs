use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
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
/// When the cluster does not answer, when no record arrives for 30 s before the end, when records are deleted before
/// they are read, or when `visit` fails.
pub fn scan(
    kafka: &KafkaSettings,
    topic: &str,
    from: Option<DateTime<Utc>>,
    visit: impl FnMut(&BorrowedMessage<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let client = reader(kafka, "orderflow-scan")?;
    let partitions = partition_count(&client, topic)?;
    if partitions == 0 {
        return Ok(());
    }
    let start = start_offsets(&client, topic, partitions, from)?;
    read_to_end(&client, topic, &start, visit)
}

/// Reads those records of `topic` that `group` has not consumed, from its committed offsets to the end of the topic,
/// and calls `visit` for each. A partition without a committed offset is read from its beginning. It joins no group and
/// commits no offset. A topic that does not exist counts as empty. Blocks.
///
/// # Errors
/// When the cluster does not answer, when no record arrives for 30 s before the end, when records are deleted before
/// they are read, or when `visit` fails.
pub fn scan_unconsumed(
    kafka: &KafkaSettings,
    topic: &str,
    group: &str,
    visit: impl FnMut(&BorrowedMessage<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let client = reader(kafka, group)?;
    let partitions = partition_count(&client, topic)?;
    if partitions == 0 {
        return Ok(());
    }
    let mut all = TopicPartitionList::new();
    for partition in 0..partitions {
        all.add_partition(topic, partition);
    }
    let committed = client
        .committed_offsets(all, REQUEST_TIMEOUT)
        .with_context(|| format!("the committed offsets of group {group} can't be read"))?;
    let mut start = TopicPartitionList::new();
    for partition in 0..partitions {
        let (first, end) = client
            .fetch_watermarks(topic, partition, REQUEST_TIMEOUT)
            .with_context(|| format!("the offsets of topic {topic}, partition {partition} can't be read"))?;
        let next = match committed.find_partition(topic, partition).map(|found| found.offset()) {
            Some(Offset::Offset(offset)) => offset.clamp(first, end),
            _ => first,
        };
        start.add_partition_offset(topic, partition, Offset::Offset(next))?;
    }
    read_to_end(&client, topic, &start, visit)
}

/// A client that reads partitions without joining `group`. librdkafka requires a group id to assign partitions.
fn reader(kafka: &KafkaSettings, group: &str) -> anyhow::Result<BaseConsumer> {
    let role = [
        ("group.id", group),
        ("enable.auto.commit", "false"),
        ("enable.partition.eof", "true"),
        ("auto.offset.reset", "error"),
    ];
    kafka.ensure_reachable()?;
    kafka.client(&role).create().context("the Kafka settings are not usable")
}

/// Reads the partitions of `start`, which are all of the topic, from these offsets to their ends.
fn read_to_end(
    client: &BaseConsumer,
    topic: &str,
    start: &TopicPartitionList,
    mut visit: impl FnMut(&BorrowedMessage<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    client.assign(start).with_context(|| format!("topic {topic} can't be read"))?;
    let mut at_end = vec![false; start.count()];
    let mut last_record = Instant::now();
    while !at_end.iter().all(|at_end| *at_end) {
        match client.poll(Duration::from_millis(200)) {
            Some(Ok(record)) => {
                last_record = Instant::now();
                visit(&record)?;
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => at_end[partition as usize] = true,
            Some(Err(KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset))) => {
                bail!("records of topic {topic} were deleted while it was read: run this again");
            }
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
