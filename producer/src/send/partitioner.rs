//! Chooses the partition of each order: the same one until its batch is full or due to be sent, then the next.
//!
//! The key is the order id, which is unique: no consumer depends on the partition that its hash selects. Kafka's own
//! clients do the same for records without a key (sticky partitioning, KIP-480). The default partitioner spreads each
//! batch over all partitions, which costs client and brokers about half of their throughput.

use std::time::Duration;

use crate::pace::Order;

/// Maximum orders of one batch. An order is some 260 bytes, so that this is slightly less than the client's `batch.size`.
/// The brokers take half the CPU time per order that they take with batches of 3,000, and hardly more than with 14,000.
pub const MAX_BATCH_ORDERS: u32 = 7_000;

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

/// A partitioner with its state.
#[derive(Debug)]
pub enum PartitionChooser {
    Sticky(StickyPartitioner),
    /// The number of partitions.
    Key(u32),
}

impl PartitionChooser {
    /// For a topic with this number of partitions (at least one). `window` is for the sticky partitioner.
    pub fn new(partitioner: Partitioner, partitions: usize, window: Duration) -> Self {
        match partitioner {
            Partitioner::Sticky => Self::Sticky(StickyPartitioner::new(partitions, window)),
            Partitioner::Key => Self::Key(u32::try_from(partitions).unwrap_or(u32::MAX).max(1)),
        }
    }

    /// Assigns the next order to a batch.
    pub fn assign(&mut self, order: Order) {
        if let Self::Sticky(sticky) = self {
            sticky.assign(order);
        }
    }

    /// The partition of the last assigned order, which has this key.
    pub fn partition(&self, key: &[u8]) -> i32 {
        match self {
            Self::Sticky(sticky) => sticky.partition(),
            Self::Key(partitions) => (crc32fast::hash(key) % partitions) as i32,
        }
    }
}

/// Switches to the next partition when a batch is full or its `window` is over. The choice depends on the due times only,
/// so that a repeated run chooses the same partitions.
#[derive(Debug)]
pub struct StickyPartitioner {
    partitions: u32,
    /// Nanoseconds.
    window: u64,
    partition: u32,
    batch_orders: u32,
    batch_end: u64,
}

impl StickyPartitioner {
    /// For a topic with this number of partitions (at least one), whose batches get orders during this `window`.
    pub fn new(partitions: usize, window: Duration) -> Self {
        let window = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
        let partitions = u32::try_from(partitions).unwrap_or(u32::MAX).max(1);
        Self { partitions, window, partition: 0, batch_orders: 0, batch_end: window }
    }

    /// Chooses the partition of the next order; [`Self::partition`] returns it.
    pub fn assign(&mut self, order: Order) {
        if order.due >= self.batch_end || self.batch_orders == MAX_BATCH_ORDERS {
            self.partition = (self.partition + 1) % self.partitions;
            self.batch_orders = 0;
            self.batch_end = order.due.saturating_add(self.window);
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
    fn orders_within_a_window_share_a_partition_and_all_partitions_are_used() {
        let millis = [0, 1, 2, 3, 4, 9, 10, 11];
        assert_eq!(partitions(millis.iter().map(|due| due * 1_000_000)), [0, 0, 1, 1, 2, 0, 0, 1]);
    }

    #[test]
    fn no_partition_gets_more_than_a_batch_at_once() {
        let of_a_burst = partitions((0..21_000).map(|_| 0));
        for partition in 0..3 {
            assert_eq!(of_a_burst.iter().filter(|of| **of == partition).count(), 7_000);
        }
    }
}
