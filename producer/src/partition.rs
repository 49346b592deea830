//! Which partition an order goes to: for a while the same one, then the next, so that batches are full.
//!
//! An order's key is its id, which no other order has: nothing depends on where a key's hash would put it, and spreading each
//! batch over all partitions costs the client and the brokers about half of their throughput. (Kafka's own client does
//! the same for records without a key, KIP-480.)

use std::time::Duration;

use crate::pace::Order;

/// Orders of one turn at most, and of one batch: with some 260 bytes each, not much below the megabyte that a batch may have.
pub const ORDERS_A_TURN: u32 = 3_000;

/// How orders are spread over the partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Partitioning {
    /// One partition after the other, each for as long as a batch is waited for.
    #[default]
    Turns,
    /// By the hash of the key, as Kafka's clients do it.
    Key,
}

/// Gives each partition its turn. Which order goes where follows from the due times alone.
#[derive(Debug)]
pub struct Turns {
    partitions: u32,
    /// Nanoseconds.
    length: u64,
    partition: u32,
    orders: u32,
    ends: u64,
}

impl Turns {
    /// Turns over so many `partitions` (at least one), each as long as the client's `linger`.
    pub fn new(partitions: usize, linger: Duration) -> Self {
        let length = u64::try_from(linger.as_nanos()).unwrap_or(u64::MAX);
        let partitions = u32::try_from(partitions).unwrap_or(u32::MAX).max(1);
        Self { partitions, length, partition: 0, orders: 0, ends: length }
    }

    /// Takes the next order; its partition is [`Self::partition`] until there is another.
    pub fn take(&mut self, order: Order) {
        if order.due >= self.ends || self.orders == ORDERS_A_TURN {
            self.partition = (self.partition + 1) % self.partitions;
            self.orders = 0;
            self.ends = order.due.saturating_add(self.length);
        }
        self.orders += 1;
    }

    /// The partition of the order that was taken last.
    pub fn partition(&self) -> i32 {
        self.partition as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partitions(due: impl Iterator<Item = u64>) -> Vec<i32> {
        let mut turns = Turns::new(3, Duration::from_millis(2));
        let partition_of = |due| {
            turns.take(Order { number: 0, due });
            turns.partition()
        };
        due.map(partition_of).collect()
    }

    #[test]
    fn orders_that_are_due_together_stay_together_and_each_partition_has_its_turn() {
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
