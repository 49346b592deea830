//! Chooses the partition of each order: the same one until its batch is full or due to be sent, then the next.
//!
//! The key is the order id, which is unique: no consumer depends on the partition that its hash selects. Kafka's own
//! clients do the same for records without a key (sticky partitioning, KIP-480). The default partitioner spreads each
//! batch over all partitions, which costs client and brokers about half of their throughput.

use std::time::Duration;

use crate::pace::Order;

/// Maximum orders of one batch. An order is some 260 bytes, so that this is slightly less than a `batch.size` of 1 MB.
pub const MAX_BATCH_ORDERS: u32 = 3_000;

/// How the partition of an order is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Partitioner {
    /// One partition after the other, each for the length of one batch.
    #[default]
    #[value(alias = "turns")]
    Sticky,
    /// The hash of the key, librdkafka's default.
    Key,
}

/// Switches to the next partition when a batch is full or `linger` is over. The choice depends on the due times only,
/// so that a repeated run chooses the same partitions.
#[derive(Debug)]
pub struct StickyPartitioner {
    partitions: u32,
    /// Nanoseconds.
    linger: u64,
    partition: u32,
    batch_orders: u32,
    batch_end: u64,
}

impl StickyPartitioner {
    /// For a topic with this number of partitions (at least one) and a client with this `linger`.
    pub fn new(partitions: usize, linger: Duration) -> Self {
        let linger = u64::try_from(linger.as_nanos()).unwrap_or(u64::MAX);
        let partitions = u32::try_from(partitions).unwrap_or(u32::MAX).max(1);
        Self { partitions, linger, partition: 0, batch_orders: 0, batch_end: linger }
    }

    /// Chooses the partition of the next order; [`Self::partition`] returns it.
    pub fn assign(&mut self, order: Order) {
        if order.due >= self.batch_end || self.batch_orders == MAX_BATCH_ORDERS {
            self.partition = (self.partition + 1) % self.partitions;
            self.batch_orders = 0;
            self.batch_end = order.due.saturating_add(self.linger);
        }
        self.batch_orders += 1;
    }

    /// The partition of the last assigned order.
    pub fn partition(&self) -> i32 {
        self.partition as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partitions(due: impl Iterator<Item = u64>) -> Vec<i32> {
        let mut partitioner = StickyPartitioner::new(3, Duration::from_millis(2));
        let partition_of = |due| {
            partitioner.assign(Order { number: 0, due });
            partitioner.partition()
        };
        due.map(partition_of).collect()
    }

    #[test]
    fn orders_within_a_linger_share_a_partition_and_all_partitions_are_used() {
        let millis = [0, 1, 2, 3, 4, 9, 10, 11];
        assert_eq!(partitions(millis.iter().map(|due| due * 1_000_000)), [0, 0, 1, 1, 2, 0, 0, 1]);
    }

    #[test]
    fn no_partition_gets_more_than_a_batch_at_once() {
        let of_a_burst = partitions((0..9_000).map(|_| 0));
        for partition in 0..3 {
            assert_eq!(of_a_burst.iter().filter(|of| **of == partition).count(), 3_000);
        }
    }
}
