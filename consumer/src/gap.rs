//! Records that the topic deleted before the group had read them, and committed offsets that it does not have: the client
//! library would go on at the topic's beginning without a word.

use std::{fmt, time::Duration};

use anyhow::Context;
use rdkafka::{Offset, TopicPartitionList, consumer::Consumer, topic_partition_list::TopicPartitionListElem};

use crate::group::GroupConsumer;

/// Longest time that the brokers may take to answer.
const CALL: Duration = Duration::from_secs(5);

/// What a consumer does about a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum OnGap {
    /// Ends, and stores nothing more.
    End,
    /// Says so, and goes on at the beginning of what there is.
    Continue,
}

/// A partition whose committed offset is not in the topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    partition: i32,
    committed: i64,
    first: i64,
    end: i64,
}

impl Gap {
    fn of(partition: i32, committed: i64, first: i64, end: i64) -> Option<Self> {
        (!(first..=end).contains(&committed)).then_some(Self { partition, committed, first, end })
    }

    /// Records that were deleted unread; 0 where the topic is shorter than what was read of it.
    pub fn lost(&self) -> u64 {
        u64::try_from(self.first - self.committed).unwrap_or_default()
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, committed, first, end } = self;
        match self.lost() {
            0 => write!(
                f,
                "partition {partition} ends at offset {end}, but the group has read up to {committed}: the topic was \
                 made anew, or brokers lost its end"
            ),
            lost => write!(
                f,
                "partition {partition} begins at offset {first}, but the group has read up to {committed} only: {lost} \
                 records were deleted before they were read"
            ),
        }
    }
}

/// Where the group goes on in a partition.
#[derive(Clone, Copy, Debug)]
pub struct Beginning {
    /// The partition.
    pub partition: i32,
    /// The first offset that will be read.
    pub offset: i64,
    /// What is missing before it.
    pub gap: Option<Gap>,
}

/// Where the group goes on in these partitions; in one that it never committed for, at the topic's beginning. Blocks.
///
/// # Errors
/// When the brokers don't answer.
pub fn beginnings(consumer: &GroupConsumer, topic: &str, partitions: &[i32]) -> anyhow::Result<Vec<Beginning>> {
    let mut asked = TopicPartitionList::new();
    for partition in partitions {
        asked.add_partition(topic, *partition);
    }
    let committed = consumer.committed_offsets(asked, CALL).context("the group's offsets can't be read")?;
    let beginning = |place: &TopicPartitionListElem<'_>| {
        let partition = place.partition();
        let (first, end) =
            consumer.fetch_watermarks(topic, partition, CALL).context("a partition's offsets can't be read")?;
        Ok(match place.offset() {
            Offset::Offset(committed) => {
                let gap = Gap::of(partition, committed, first, end);
                Beginning { partition, offset: if gap.is_some() { first } else { committed }, gap }
            }
            _ => Beginning { partition, offset: first, gap: None },
        })
    };
    committed.elements().iter().map(beginning).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_committed_offset_outside_of_the_topic_is_a_gap() {
        for (committed, first, end, lost) in
            [(5, 12, 20, Some(7)), (25, 12, 20, Some(0)), (12, 12, 20, None), (20, 12, 20, None)]
        {
            assert_eq!(Gap::of(0, committed, first, end).map(|gap| gap.lost()), lost, "{committed}");
        }
    }
}
