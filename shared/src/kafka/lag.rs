use std::time::Duration;

use anyhow::{Context, ensure};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};

use super::{settings::KafkaSettings, topic::partition_count};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How far a group is behind: per partition the end offset less the committed one (less the first one when nothing is
/// committed yet).
#[derive(Clone, Debug)]
pub struct GroupLag {
    /// Records not yet committed, one number a partition.
    pub partitions: Vec<i64>,
}

impl GroupLag {
    /// Records not yet committed in all.
    pub fn total(&self) -> i64 {
        self.partitions.iter().sum()
    }
}

/// Asks the cluster for the lag of `group` on `topic`; blocks.
///
/// # Errors
/// When the cluster doesn't answer or the topic is missing.
pub fn group_lag(kafka: &KafkaSettings, topic: &str, group: &str) -> anyhow::Result<GroupLag> {
    let client: BaseConsumer = kafka.client(&[("group.id", group), ("enable.auto.commit", "false")]).create()?;
    let count = partition_count(&client, topic).or_else(|error| kafka.ensure_reachable().and(Err(error)))?;
    ensure!(count > 0, "there is no topic {topic}");
    let mut asked = TopicPartitionList::new();
    for partition in 0..count {
        asked.add_partition(topic, partition);
    }
    let committed = client.committed_offsets(asked, REQUEST_TIMEOUT).context("the group's offsets can't be read")?;
    let lag = |partition: i32| {
        let (first, end) = client
            .fetch_watermarks(topic, partition, REQUEST_TIMEOUT)
            .context("a partition's offsets can't be read")?;
        let done = match committed.find_partition(topic, partition).map(|found| found.offset()) {
            Some(Offset::Offset(offset)) => offset,
            _ => first,
        };
        Ok((end - done).max(0))
    };
    Ok(GroupLag { partitions: (0..count).map(lag).collect::<anyhow::Result<_>>()? })
}
