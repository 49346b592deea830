//! Where the group starts in a newly assigned partition, and goes on in one whose position the topic does not have any
//! more: records were deleted before they were read, or the topic was recreated.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, anyhow};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::Consumer,
    error::KafkaResult,
    metadata::{MetadataPartition, MetadataTopic},
    topic_partition_list::TopicPartitionListElem,
};

use super::{assignment::LookupRequest, client::GroupConsumer, watermarks::fetch_watermarks};

/// Timeout of each request to the brokers.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The offset at which a partition should be read on is not in the topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetOutOfRange {
    partition: i32,
    expected: ExpectedOffset,
    first: i64,
    end: i64,
}

/// The offset at which a partition should be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ExpectedOffset {
    /// The offset that the group has committed.
    Committed(i64),
    /// The offset after the last one that this instance has read.
    Next(i64),
}

impl ExpectedOffset {
    fn offset(self) -> i64 {
        let (Self::Committed(offset) | Self::Next(offset)) = self;
        offset
    }
}

impl fmt::Display for ExpectedOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Committed(offset) => write!(f, "the group has committed {offset}"),
            Self::Next(offset) => write!(f, "this instance has read it up to {offset}"),
        }
    }
}

impl OffsetOutOfRange {
    /// The number of records that were deleted unread; 0 when the partition ends before the expected offset.
    pub fn deleted_records(&self) -> u64 {
        u64::try_from(self.first.saturating_sub(self.expected.offset())).unwrap_or_default()
    }
}

impl fmt::Display for OffsetOutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, expected, first, end } = self;
        match self.deleted_records() {
            0 => write!(
                f,
                "partition {partition} ends at offset {end}, but {expected}: the topic was recreated, or the brokers \
                 lost its end"
            ),
            deleted => write!(
                f,
                "partition {partition} begins at offset {first}, but {expected}: {deleted} records were deleted before \
                 they were read"
            ),
        }
    }
}

/// What the brokers say about a partition.
#[derive(Clone, Copy, Debug)]
pub struct PartitionState {
    pub partition: i32,
    /// The group's committed offset.
    pub committed: Option<i64>,
    /// Whether the group has a committed offset in some partition of the topic.
    pub group_has_offsets: bool,
    /// The first offset of the partition.
    pub first: i64,
    pub end: i64,
}

/// Where a partition is read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartPosition {
    /// At an offset that the topic has.
    At(i64),
    /// At the first offset, since the group has no committed one.
    WithoutOffset { first: i64 },
    /// The topic does not have the offset. If reading goes on, then at the first offset.
    OutOfRange(OffsetOutOfRange),
}

impl PartitionState {
    /// Where the partition is read on: at `next`, at the committed offset, or at the first offset, in this order.
    pub fn start(&self, next: Option<i64>) -> StartPosition {
        let Self { partition, first, end, .. } = *self;
        let expected = next.map(ExpectedOffset::Next).or(self.committed.map(ExpectedOffset::Committed));
        let Some(expected) = expected else { return StartPosition::WithoutOffset { first } };
        if (first..=end).contains(&expected.offset()) {
            StartPosition::At(expected.offset())
        } else {
            StartPosition::OutOfRange(OffsetOutOfRange { partition, expected, first, end })
        }
    }
}

/// Asks the brokers for the state of the partitions, and calls `found` for each as soon as it is known. Blocks.
pub fn look_up(
    consumer: &GroupConsumer,
    topic: &str,
    requests: Vec<LookupRequest>,
    found: impl Fn(LookupRequest, anyhow::Result<PartitionState>) + Sync,
) {
    let (partitions, mut requests): (Vec<i32>, HashMap<i32, LookupRequest>) =
        requests.into_iter().map(|request| (request.handle.partition(), (request.handle.partition(), request))).unzip();
    let (committed, group_has_offsets) = match committed_offsets(consumer, topic, &partitions) {
        Ok(answer) => answer,
        Err(error) => {
            return requests.into_values().for_each(|request| found(request, Err(anyhow!("{error:#}"))));
        }
    };
    // The offset of one partition may be unknown: that fails its own lookup and no other.
    for (partition, error) in committed.iter().filter_map(|(number, offset)| Some((number, offset.as_ref().err()?))) {
        if let Some(request) = requests.remove(partition) {
            found(request, Err(anyhow!("its committed offset can't be read: {error}")));
        }
    }
    let partitions: Vec<i32> = requests.keys().copied().collect();
    let requests = Mutex::new(requests);
    let lock = || requests.lock().unwrap_or_else(PoisonError::into_inner);
    let is_assigned = |partition| lock().get(&partition).is_some_and(|request| !request.handle.is_revoked());
    fetch_watermarks(consumer, topic, &partitions, REQUEST_TIMEOUT, is_assigned, |partition, watermarks| {
        let request = lock().remove(&partition);
        let committed = committed.get(&partition).and_then(|offset| *offset.as_ref().ok()?);
        let state =
            watermarks.map(|(first, end)| PartitionState { partition, committed, group_has_offsets, first, end });
        if let Some(request) = request {
            found(request, state.context("its first offset and its end can't be read"));
        }
    });
}

/// The committed offset of each partition; none where the group has none.
type CommittedOffsets = HashMap<i32, KafkaResult<Option<i64>>>;

/// The committed offsets of `partitions`, and whether the group has one in any partition of the topic.
fn committed_offsets(
    consumer: &GroupConsumer,
    topic: &str,
    partitions: &[i32],
) -> anyhow::Result<(CommittedOffsets, bool)> {
    let has_offset = |offset: &KafkaResult<Option<i64>>| !matches!(offset, Ok(None));
    let committed = committed_in(consumer, topic, partitions)?;
    if committed.values().any(has_offset) {
        return Ok((committed, true));
    }
    let metadata = consumer.fetch_metadata(Some(topic), REQUEST_TIMEOUT).context("the topic can't be described")?;
    let all = metadata.topics().iter().flat_map(MetadataTopic::partitions).map(MetadataPartition::id);
    let in_all = committed_in(consumer, topic, &all.collect::<Vec<_>>())?;
    Ok((committed, in_all.values().any(has_offset)))
}

fn committed_in(consumer: &GroupConsumer, topic: &str, partitions: &[i32]) -> anyhow::Result<CommittedOffsets> {
    let mut requested = TopicPartitionList::new();
    for partition in partitions {
        requested.add_partition(topic, *partition);
    }
    let answer = consumer.committed_offsets(requested, REQUEST_TIMEOUT).context("the group's offsets can't be read")?;
    let offset = |place: &TopicPartitionListElem<'_>| match (place.error(), place.offset()) {
        (Err(error), _) => Err(error),
        (Ok(()), Offset::Offset(offset)) => Ok(Some(offset)),
        (Ok(()), _) => Ok(None),
    };
    Ok(answer.elements().iter().map(|place| (place.partition(), offset(place))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(committed: Option<i64>, first: i64, end: i64) -> PartitionState {
        PartitionState { partition: 4, committed, group_has_offsets: committed.is_some(), first, end }
    }

    fn deleted(start: StartPosition) -> Option<u64> {
        match start {
            StartPosition::OutOfRange(out_of_range) => Some(out_of_range.deleted_records()),
            StartPosition::At(_) | StartPosition::WithoutOffset { .. } => None,
        }
    }

    #[test]
    fn a_committed_offset_outside_of_the_partition_is_out_of_range() {
        for (committed, first, end, expected) in [
            (5, 12, 20, Some(7)),
            (25, 12, 20, Some(0)),
            (12, 12, 20, None),
            (20, 12, 20, None),
            (-1, i64::MAX, i64::MAX, Some(i64::MAX as u64)),
            (i64::MAX, 0, 0, Some(0)),
        ] {
            assert_eq!(deleted(state(Some(committed), first, end).start(None)), expected, "{committed}");
        }
    }

    #[test]
    fn a_partition_that_is_read_goes_on_where_it_was_read_to() {
        assert_eq!(state(Some(5), 0, 20).start(Some(15)), StartPosition::At(15));
        let start = state(Some(5), 18, 20).start(Some(15));
        assert_eq!(deleted(start), Some(3), "the records from 5 to 15 are read");
        let StartPosition::OutOfRange(out_of_range) = start else { panic!("{start:?}") };
        let message = "partition 4 begins at offset 18, but this instance has read it up to 15: 3 records were deleted \
                       before they were read";
        assert_eq!(out_of_range.to_string(), message);
    }

    #[test]
    fn a_partition_without_a_committed_offset_starts_at_its_beginning() {
        assert_eq!(state(None, 0, 20).start(None), StartPosition::WithoutOffset { first: 0 });
        assert_eq!(state(None, 7, 7).start(None), StartPosition::WithoutOffset { first: 7 });
    }
}
