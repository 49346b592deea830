//! Reads which partitions of the topic have lost records of a run, by retention or by `kafka-delete-records`.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context;
use chrono::{DateTime, Utc};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};
use shared::kafka::{KafkaSettings, partition_count};

/// Timeout of each request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The partitions of `topic` from which records of time `from` or later may be deleted, each with its first offset.
/// These are the partitions that don't begin at offset 0 and have no record that is older. Blocks.
///
/// # Errors
/// When the cluster does not answer.
pub fn read_beginnings(kafka: &KafkaSettings, topic: &str, from: DateTime<Utc>) -> anyhow::Result<BTreeMap<i32, i64>> {
    let client: BaseConsumer = kafka.client(&[]).create().context("the Kafka settings are not usable")?;
    let failed = || format!("the first offsets of topic {topic} can't be read");
    let mut at_from = TopicPartitionList::new();
    for partition in 0..partition_count(&client, topic)? {
        let time = Offset::Offset(from.timestamp_millis().max(0));
        at_from.add_partition_offset(topic, partition, time)?;
    }
    if at_from.count() == 0 {
        return Ok(BTreeMap::new());
    }
    let at_from = client.offsets_for_times(at_from, REQUEST_TIMEOUT).with_context(failed)?;
    let mut beginnings = BTreeMap::new();
    for found in at_from.elements() {
        let (low, high) = client.fetch_watermarks(topic, found.partition(), REQUEST_TIMEOUT).with_context(failed)?;
        let has_older = match found.offset() {
            Offset::Offset(first) => first > low,
            // No record of this time or later: all that the partition has is older.
            _ => high > low,
        };
        if low > 0 && !has_older {
            beginnings.insert(found.partition(), low);
        }
    }
    Ok(beginnings)
}
