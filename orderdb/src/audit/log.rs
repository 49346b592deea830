//! Which of a run's orders a topic has.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
};
use roaring::RoaringTreemap;
use shared::{
    kafka::{KafkaSettings, partition_count},
    order_id::{OrderId, RunTag},
};

const CALL: Duration = Duration::from_secs(10);
/// Without a record for this long, the topic can't be read to its end.
const STALLED: Duration = Duration::from_secs(30);

/// A run's orders in a topic.
#[derive(Clone, Debug, Default)]
pub struct InTopic {
    /// Each order once.
    pub sequences: RoaringTreemap,
    /// Records beyond the first of their order.
    pub repeats: u64,
}

/// Reads `topic` from the records of time `from` to its end and picks those of a run, whose orders have one of `tags`. A topic that doesn't exist has
/// none. Blocks.
///
/// # Errors
/// When the cluster doesn't answer, or stops answering.
pub fn sequences(kafka: &KafkaSettings, topic: &str, tags: &[RunTag], from: DateTime<Utc>) -> anyhow::Result<InTopic> {
    // The group is named because the client wants one; it is never joined and commits nothing.
    let role = [
        ("group.id", "orderflow-audit"),
        ("enable.auto.commit", "false"),
        ("enable.partition.eof", "true"),
        ("auto.offset.reset", "error"),
    ];
    kafka.reach()?;
    let client: BaseConsumer = kafka.client(&role).create().context("the Kafka settings are not usable")?;
    let partitions = partition_count(&client, topic)?;
    if partitions == 0 {
        return Ok(InTopic::default());
    }
    client.assign(&begin_at(&client, topic, partitions, from)?).context("the topic can't be read")?;

    let mut found = InTopic::default();
    let mut at_end = vec![false; partitions as usize];
    let mut last_record = Instant::now();
    while !at_end.iter().all(|at_end| *at_end) {
        match client.poll(Duration::from_millis(200)) {
            Some(Ok(record)) => {
                last_record = Instant::now();
                note(&mut found, record.key(), tags);
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => at_end[partition as usize] = true,
            Some(Err(error)) => tracing::debug!(%error, "the topic's reader goes on"),
            None => {}
        }
        if last_record.elapsed() > STALLED {
            bail!("topic {topic} can't be read to its end: {} s without a record", STALLED.as_secs());
        }
    }
    Ok(found)
}

fn note(found: &mut InTopic, key: Option<&[u8]>, tags: &[RunTag]) {
    let id = key.and_then(|key| std::str::from_utf8(key).ok()).and_then(|key| key.parse::<OrderId>().ok());
    if let Some(id) = id.filter(|id| tags.contains(&id.tag()))
        && !found.sequences.insert(id.sequence().get())
    {
        found.repeats += 1;
    }
}

fn begin_at(
    client: &BaseConsumer,
    topic: &str,
    partitions: i32,
    from: DateTime<Utc>,
) -> anyhow::Result<TopicPartitionList> {
    let mut times = TopicPartitionList::new();
    for partition in 0..partitions {
        times.add_partition_offset(topic, partition, Offset::Offset(from.timestamp_millis().max(0)))?;
    }
    client.offsets_for_times(times, CALL).context("the topic's offsets can't be looked up by time")
}
