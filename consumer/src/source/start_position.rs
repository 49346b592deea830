//! Where the group starts in a newly assigned partition. The topic may not have the committed offset (records were
//! deleted before they were read, or the topic was recreated); librdkafka would continue at the first offset without an
//! error.

use std::{fmt, time::Duration};

use anyhow::Context;
use rdkafka::{Offset, TopicPartitionList, consumer::Consumer, topic_partition_list::TopicPartitionListElem};

use super::client::GroupConsumer;

/// Timeout of each request to the brokers.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The committed offset is not in the topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetOutOfRange {
    partition: i32,
    committed: i64,
    first: i64,
    end: i64,
}

impl OffsetOutOfRange {
    fn check(partition: i32, committed: i64, first: i64, end: i64) -> Option<Self> {
        (!(first..=end).contains(&committed)).then_some(Self { partition, committed, first, end })
    }

    /// The number of records that were deleted unread; 0 when the partition ends before the committed offset.
    pub fn deleted_records(&self) -> u64 {
        u64::try_from(self.first - self.committed).unwrap_or_default()
    }
}

impl fmt::Display for OffsetOutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, committed, first, end } = self;
        match self.deleted_records() {
            0 => write!(
                f,
                "partition {partition} ends at offset {end}, but the group has committed {committed}: the topic was \
                 recreated, or the brokers lost its end"
            ),
            deleted => write!(
                f,
                "partition {partition} begins at offset {first}, but the group has committed {committed}: {deleted} \
                 records were deleted before they were read"
            ),
        }
    }
}

/// Where the group starts in a partition.
#[derive(Clone, Copy, Debug)]
pub struct StartPosition {
    pub partition: i32,
    /// The first offset that will be read.
    pub offset: i64,
    pub out_of_range: Option<OffsetOutOfRange>,
}

/// Reads from the brokers where the group starts in these partitions: at its committed offset, or at the first offset
/// of a partition without a committed one. Blocks.
///
/// # Errors
/// When the brokers don't answer.
pub fn start_positions(
    consumer: &GroupConsumer,
    topic: &str,
    partitions: &[i32],
) -> anyhow::Result<Vec<StartPosition>> {
    let mut requested = TopicPartitionList::new();
    for partition in partitions {
        requested.add_partition(topic, *partition);
    }
    let committed =
        consumer.committed_offsets(requested, REQUEST_TIMEOUT).context("the group's offsets can't be read")?;
    let start = |place: &TopicPartitionListElem<'_>| {
        let partition = place.partition();
        let (first, end) = consumer
            .fetch_watermarks(topic, partition, REQUEST_TIMEOUT)
            .context("a partition's offsets can't be read")?;
        Ok(match place.offset() {
            Offset::Offset(committed) => {
                let out_of_range = OffsetOutOfRange::check(partition, committed, first, end);
                let offset = if out_of_range.is_some() { first } else { committed };
                StartPosition { partition, offset, out_of_range }
            }
            _ => StartPosition { partition, offset: first, out_of_range: None },
        })
    };
    committed.elements().iter().map(start).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_committed_offset_outside_of_the_partition_is_out_of_range() {
        for (committed, first, end, deleted) in
            [(5, 12, 20, Some(7)), (25, 12, 20, Some(0)), (12, 12, 20, None), (20, 12, 20, None)]
        {
            let found = OffsetOutOfRange::check(0, committed, first, end);
            assert_eq!(found.map(|out_of_range| out_of_range.deleted_records()), deleted, "{committed}");
        }
    }
}
