//! Reads which orders of a run are in the topic, and what their records contain.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use rdkafka::{Message, message::BorrowedMessage};
use roaring::RoaringTreemap;
use shared::{
    kafka::{KafkaSettings, scan},
    order_id::{OrderId, RunTag},
    wire,
};

use super::{
    by_sequence::BySequence,
    order_fields::{Digest, Digester, OrderFields},
};

/// Maximum difference between the clocks of producer and brokers.
pub const MAX_CLOCK_DIFFERENCE: TimeDelta = TimeDelta::seconds(60);

/// The orders of a run that are in its topic. Memory: some 10 bytes per order, and 100 per conflicting order.
#[derive(Clone, Debug, Default)]
pub struct TopicOrders {
    /// Each order once.
    pub sequences: RoaringTreemap,
    /// Records beyond the first of their order.
    pub repeats: u64,
    /// Orders with records of different content.
    pub conflicting: RoaringTreemap,
    /// Partition and digest of the content of the first record of each order.
    first: BySequence<FirstRecord>,
    /// Other contents of conflicting orders: sequence and digest, and the partition of the first record with it.
    others: BTreeMap<(u64, Digest), i32>,
    /// Sequence of the first record of each tag in each partition.
    first_in_partition: HashMap<(RunTag, i32), u64>,
}

/// 10 bytes rather than 16: there is one for each order.
#[derive(Clone, Copy, Debug, Default)]
#[repr(Rust, packed(2))]
struct FirstRecord {
    /// 0: none.
    digest: u64,
    partition: u16,
}

/// What the topic says about the content of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A record of the order has it.
    Equal,
    /// No record that may be stored has it.
    Differs,
    /// The topic has no record of the order.
    NoRecord,
}

/// The order of a record, if it is one of a run whose orders have one of `tags`.
pub fn run_order(record: &BorrowedMessage<'_>, tags: &[RunTag]) -> Option<OrderId> {
    let id: OrderId = std::str::from_utf8(record.key()?).ok()?.parse().ok()?;
    tags.contains(&id.tag()).then_some(id)
}

/// Reads `topic` from the records of time `from` to its end and picks the orders of a run, which have one of `tags`. A
/// topic that does not exist has none. Blocks.
///
/// # Errors
/// When the cluster does not answer, or stops answering.
pub fn read_orders(
    kafka: &KafkaSettings,
    topic: &str,
    tags: &[RunTag],
    from: DateTime<Utc>,
    digester: &Digester,
) -> anyhow::Result<TopicOrders> {
    let mut found = TopicOrders::default();
    scan(kafka, topic, Some(from), |record| {
        if let Some(id) = run_order(record, tags) {
            found.add(id, record.partition(), content(record, digester));
        }
        Ok(())
    })?;
    Ok(found)
}

/// Digest of the content of a record: of the fields of the order, or of the bytes if the record is not an order.
fn content(record: &BorrowedMessage<'_>, digester: &Digester) -> Digest {
    match wire::decode_order(record.key(), record.payload()) {
        Ok(order) => digester.digest(&OrderFields::of_record(&order)),
        Err(_) => digester.digest(&(record.key(), record.payload())),
    }
}

impl TopicOrders {
    fn add(&mut self, id: OrderId, partition: i32, content: Digest) {
        let sequence = id.sequence().get();
        self.first_in_partition.entry((id.tag(), partition)).or_insert(sequence);
        if self.sequences.insert(sequence) {
            self.first
                .set(sequence, FirstRecord { digest: content.get(), partition: partition.cast_unsigned() as u16 });
            return;
        }
        self.repeats += 1;
        if self.first.get(sequence).digest != content.get() {
            self.conflicting.insert(sequence);
            self.others.entry((sequence, content)).or_insert(partition);
        }
    }

    /// Compares the content of a row. If records of the order have different contents, the row must have that of the
    /// first one of its partition, or, if one of them is dead-lettered, that of any of them.
    pub fn compare(&self, sequence: u64, row: Digest, dead_lettered: bool) -> Content {
        let first = self.first.get(sequence);
        if first.digest == 0 {
            Content::NoRecord
        } else if first.digest == row.get() {
            Content::Equal
        } else {
            let partition = self.others.get(&(sequence, row)).map(|partition| partition.cast_unsigned() as u16);
            let may_be_stored = partition.is_some_and(|partition| dead_lettered || partition != first.partition);
            if may_be_stored { Content::Equal } else { Content::Differs }
        }
    }

    /// The lowest sequence of the orders of `tag` whose records are all still in the topic, when the records at the
    /// beginning of `partitions` are deleted. A producer sends the orders of a tag to each partition in their order.
    pub fn first_complete(&self, tag: RunTag, partitions: impl Iterator<Item = i32>) -> u64 {
        let first = |partition| self.first_in_partition.get(&(tag, partition)).copied().unwrap_or(u64::MAX);
        partitions.map(first).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use shared::order_id::Sequence;

    use super::*;

    fn topic_of(records: &[(u64, i32, &str)]) -> (TopicOrders, Digester, RunTag) {
        let (mut topic, digester, tag) = (TopicOrders::default(), Digester::default(), RunTag::near(7, 0));
        for (sequence, partition, content) in records {
            let id = OrderId::new(1_000_000, tag, Sequence::new(*sequence).unwrap());
            topic.add(id, *partition, digester.digest(content));
        }
        (topic, digester, tag)
    }

    #[test]
    fn a_row_equals_its_record_differs_from_it_or_has_none() {
        let (topic, digester, _) = topic_of(&[(0, 3, "a"), (1, 3, "b"), (0, 3, "a")]);
        let compare = |sequence, row: &str| topic.compare(sequence, digester.digest(&row), false);
        assert_eq!((compare(0, "a"), compare(1, "a")), (Content::Equal, Content::Differs));
        assert_eq!(compare(2, "a"), Content::NoRecord);
        assert_eq!((topic.repeats, topic.conflicting.len()), (1, 0));
    }

    #[test]
    fn a_row_of_a_conflicting_order_must_have_the_first_content_of_a_partition() {
        let (topic, digester, _) = topic_of(&[(0, 3, "a"), (0, 3, "b"), (0, 5, "c"), (0, 5, "c"), (1, 3, "d")]);
        let compare = |row: &str, dead_lettered| topic.compare(0, digester.digest(&row), dead_lettered);
        assert_eq!(topic.conflicting.iter().collect::<Vec<_>>(), [0]);
        for (row, expected) in [("a", Content::Equal), ("b", Content::Differs), ("c", Content::Equal)] {
            assert_eq!(compare(row, false), expected, "{row}");
        }
        assert_eq!((compare("b", true), compare("d", true)), (Content::Equal, Content::Differs));
    }

    #[test]
    fn orders_below_the_first_record_of_a_partition_whose_beginning_is_deleted_may_be_deleted() {
        let (topic, _, tag) = topic_of(&[(7, 0, "a"), (3, 1, "b"), (12, 0, "c")]);
        assert_eq!(topic.first_complete(tag, [].into_iter()), 0);
        assert_eq!(topic.first_complete(tag, [1].into_iter()), 3);
        assert_eq!(topic.first_complete(tag, [0, 1].into_iter()), 7);
        assert_eq!(topic.first_complete(tag, [2].into_iter()), u64::MAX);
        assert_eq!(topic.first_complete(RunTag::near(8, 0), [1].into_iter()), u64::MAX);
    }
}
