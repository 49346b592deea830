//! A topic that is filled with orders before sinks read it.

use anyhow::{Context, ensure};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    metadata::MetadataPartition,
};
use shared::kafka::KafkaSettings;

use super::timeouts::REQUEST_TIMEOUT;

/// A topic that has every order exactly once.
#[derive(Clone, Debug)]
pub struct FilledTopic {
    pub name: String,
    /// The order id of the last record of each non-empty partition. A sink that stores each partition in order has
    /// stored all of it as soon as it has stored this order.
    pub last_ids: Vec<String>,
}

impl FilledTopic {
    /// Reads the last record of each partition.
    ///
    /// # Errors
    /// When the brokers don't answer, or the topic is empty.
    pub async fn read(kafka: &KafkaSettings, topic: &str) -> anyhow::Result<Self> {
        let (kafka, name) = (kafka.clone(), topic.to_owned());
        let last_ids = tokio::task::spawn_blocking(move || last_ids(&kafka, &name)).await??;
        Ok(Self { name: topic.to_owned(), last_ids })
    }
}

fn last_ids(kafka: &KafkaSettings, topic: &str) -> anyhow::Result<Vec<String>> {
    let consumer: BaseConsumer = kafka.client(&[("group.id", "unused"), ("enable.auto.commit", "false")]).create()?;
    let metadata = consumer.fetch_metadata(Some(topic), REQUEST_TIMEOUT).context("the brokers don't answer")?;
    let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions().iter().map(MetadataPartition::id));
    let mut ends = TopicPartitionList::new();
    for partition in partitions {
        let (first, end) = consumer.fetch_watermarks(topic, partition, REQUEST_TIMEOUT)?;
        if end > first {
            ends.add_partition_offset(topic, partition, Offset::Offset(end - 1))?;
        }
    }
    ensure!(ends.count() > 0, "topic {topic} has no orders");
    consumer.assign(&ends)?;
    let mut last_ids = Vec::new();
    while last_ids.len() < ends.count() {
        let record = consumer.poll(REQUEST_TIMEOUT);
        let record = record.with_context(|| format!("topic {topic}: the last records can't be read"))??;
        let key = record.key().with_context(|| format!("topic {topic}: a record has no key"))?;
        last_ids.push(String::from_utf8_lossy(key).into_owned());
    }
    Ok(last_ids)
}
