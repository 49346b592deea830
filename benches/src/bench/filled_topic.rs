//! A topic that is filled with the events of orders before sinks read it.

use anyhow::{Context, ensure};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    metadata::MetadataPartition,
};
use serde::Deserialize;
use shared::kafka::KafkaSettings;

use super::timeouts::REQUEST_TIMEOUT;

/// A topic that has every event exactly once.
#[derive(Clone, Debug)]
pub struct FilledTopic {
    pub name: String,
    /// Number of events.
    pub events: u64,
    /// The last record of each non-empty partition. A sink that stores each partition in order has stored all of it as
    /// soon as it has stored this event.
    pub last: LastEvents,
}

/// Events, as one column for each of their values.
#[derive(Clone, Debug, Default)]
pub struct LastEvents {
    pub order_ids: Vec<String>,
    /// Their positions in the histories of their orders; 0 for an order itself.
    pub sequences: Vec<i32>,
}

/// What the values of all events are read for. An order that is placed has no sequence, or 0.
#[derive(Deserialize)]
struct Position {
    #[serde(default, alias = "status_sequence")]
    sequence: i32,
}

impl FilledTopic {
    /// Reads the last record of each partition.
    ///
    /// # Errors
    /// When the brokers don't answer, or the topic is empty.
    pub async fn read(kafka: &KafkaSettings, topic: &str) -> anyhow::Result<Self> {
        let (kafka, name) = (kafka.clone(), topic.to_owned());
        tokio::task::spawn_blocking(move || read(&kafka, name)).await?
    }
}

fn read(kafka: &KafkaSettings, name: String) -> anyhow::Result<FilledTopic> {
    let topic = name.as_str();
    let consumer: BaseConsumer = kafka.client(&[("group.id", "unused"), ("enable.auto.commit", "false")]).create()?;
    let metadata = consumer.fetch_metadata(Some(topic), REQUEST_TIMEOUT).context("the brokers don't answer")?;
    let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions().iter().map(MetadataPartition::id));
    let (mut ends, mut events) = (TopicPartitionList::new(), 0);
    for partition in partitions {
        let (first, end) = consumer.fetch_watermarks(topic, partition, REQUEST_TIMEOUT)?;
        events += (end - first).cast_unsigned();
        if end > first {
            ends.add_partition_offset(topic, partition, Offset::Offset(end - 1))?;
        }
    }
    ensure!(ends.count() > 0, "topic {topic} has no events");
    consumer.assign(&ends)?;
    let mut last = LastEvents::default();
    while last.order_ids.len() < ends.count() {
        let record = consumer.poll(REQUEST_TIMEOUT);
        let record = record.with_context(|| format!("topic {topic}: the last records can't be read"))??;
        let key = record.key().with_context(|| format!("topic {topic}: a record has no key"))?;
        last.order_ids.push(String::from_utf8_lossy(key).into_owned());
        // With its schema, a value has the event in `payload`.
        let value: serde_json::Value = serde_json::from_slice(record.payload().unwrap_or_default())?;
        let Position { sequence } = Position::deserialize(value.get("payload").unwrap_or(&value))?;
        last.sequences.push(sequence);
    }
    Ok(FilledTopic { name, events, last })
}
