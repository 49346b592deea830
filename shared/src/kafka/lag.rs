use std::time::Duration;

use anyhow::{Context, ensure};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};

use super::{settings::KafkaSettings, topic::partition_count};

/// Timeout of each request to the cluster.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Lag of a consumer group: per partition, end offset − committed offset, or end offset − first offset when no offset
/// is committed.
#[derive(Clone, Debug)]
pub struct GroupLag {
    /// Lag in records, one element per partition, in the order of the partitions.
    pub partitions: Vec<i64>,
}

impl GroupLag {
    /// Lag of all partitions together, in records.
    pub fn total(&self) -> i64 {
        self.partitions.iter().sum()
    }
}

/// Reads the lag of `group` on `topic` from the cluster. Blocks for up to 10 s per request.
///
/// # Errors
/// When the cluster does not answer, or the topic does not exist.
pub fn group_lag(kafka: &KafkaSettings, topic: &str, group: &str) -> anyhow::Result<GroupLag> {
    let client: BaseConsumer = kafka.client(&[("group.id", group), ("enable.auto.commit", "false")]).create()?;
    let count = partition_count(&client, topic).or_else(|error| kafka.ensure_reachable().and(Err(error)))?;
    ensure!(count > 0, "topic {topic} does not exist");
    let mut partitions = TopicPartitionList::new();
    for partition in 0..count {
        partitions.add_partition(topic, partition);
    }
    let committed = client
        .committed_offsets(partitions, REQUEST_TIMEOUT)
        .with_context(|| format!("the committed offsets of group {group} can't be read"))?;
    let lag = |partition: i32| {
        let (first, end) = client
            .fetch_watermarks(topic, partition, REQUEST_TIMEOUT)
            .with_context(|| format!("the offsets of topic {topic}, partition {partition} can't be read"))?;
        let next = match committed.find_partition(topic, partition).map(|found| found.offset()) {
            Some(Offset::Offset(offset)) => offset,
            _ => first,
        };
        Ok(end.saturating_sub(next).max(0))
    };
    Ok(GroupLag { partitions: (0..count).map(lag).collect::<anyhow::Result<_>>()? })
}
