//! Reads which orders and changes of a run are in the topic, and what their records contain.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use rdkafka::{Message, message::BorrowedMessage};
use shared::{
    kafka::{KafkaSettings, scan},
    lifecycle::ChangeNumber,
    order_id::{OrderId, RunTag},
    wire,
};

use super::{
    change_fields::ChangeFields,
    digest::{Digest, Digester},
    order_fields::OrderFields,
    records::Records,
    run_record::{Event, run_record},
};

/// Maximum difference between the clocks of producer and brokers.
pub const MAX_CLOCK_DIFFERENCE: TimeDelta = TimeDelta::seconds(60);

/// What a topic has of a run.
#[derive(Clone, Debug, Default)]
pub struct TopicRecords {
    /// The orders, by their sequences.
    pub orders: Records,
    /// The changes of their statuses, by their [`ChangeNumber`]s.
    pub changes: Records,
    /// Records whose header says that they are changes, but that are none which a producer sends.
    pub unreadable_changes: u64,
    /// Sequence of the first order of each tag in each partition.
    first_in_partition: HashMap<(RunTag, i32), u64>,
}

/// Reads `topic` from the records of time `from` to its end and picks those of a run, whose orders have one of `tags`. A
/// topic that does not exist has none. Blocks.
///
/// # Errors
/// When the cluster does not answer, or stops answering.
pub fn read_records(
    kafka: &KafkaSettings,
    topic: &str,
    tags: &[RunTag],
    from: DateTime<Utc>,
    digester: &Digester,
) -> anyhow::Result<TopicRecords> {
    let mut found = TopicRecords::default();
    scan(kafka, topic, Some(from), |record| {
        match run_record(record, tags) {
            Some((id, Event::Placed)) => found.add_order(id, record.partition(), order_content(record, digester)),
            Some((id, Event::StatusChanged)) => match change_content(record, id, digester) {
                Some((number, content)) => found.changes.add(number.get(), record.partition(), content),
                None => found.unreadable_changes += 1,
            },
            None => {}
        }
        Ok(())
    })?;
    Ok(found)
}

/// Digest of the content of a record: of the fields of the order, or of the bytes if the record is not an order.
fn order_content(record: &BorrowedMessage<'_>, digester: &Digester) -> Digest {
    match wire::decode_order(record.key(), record.payload()) {
        Ok(order) => digester.digest(&OrderFields::of_record(&order)),
        Err(_) => digester.digest(&(record.key(), record.payload())),
    }
}

/// The number of a change and the digest of its fields; `None` if the record is no change that a producer sends.
fn change_content(record: &BorrowedMessage<'_>, id: OrderId, digester: &Digester) -> Option<(ChangeNumber, Digest)> {
    let event = wire::decode_change(record.key(), record.payload()).ok()?.event;
    let number = ChangeNumber::new(id.sequence().get(), event.sequence)?;
    Some((number, digester.digest(&ChangeFields::of_record(&event))))
}

impl TopicRecords {
    fn add_order(&mut self, id: OrderId, partition: i32, content: Digest) {
        let sequence = id.sequence().get();
        self.first_in_partition.entry((id.tag(), partition)).or_insert(sequence);
        self.orders.add(sequence, partition, content);
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

    #[test]
    fn orders_below_the_first_record_of_a_partition_whose_beginning_is_deleted_may_be_deleted() {
        let (mut topic, digester, tag) = (TopicRecords::default(), Digester::default(), RunTag::near(7, 0));
        for (sequence, partition) in [(7, 0), (3, 1), (12, 0)] {
            let id = OrderId::new(1_000_000, tag, Sequence::new(sequence).unwrap());
            topic.add_order(id, partition, digester.digest(&sequence));
        }
        assert_eq!(topic.first_complete(tag, [].into_iter()), 0);
        assert_eq!(topic.first_complete(tag, [1].into_iter()), 3);
        assert_eq!(topic.first_complete(tag, [0, 1].into_iter()), 7);
        assert_eq!(topic.first_complete(tag, [2].into_iter()), u64::MAX);
        assert_eq!(topic.first_complete(RunTag::near(8, 0), [1].into_iter()), u64::MAX);
    }
}
