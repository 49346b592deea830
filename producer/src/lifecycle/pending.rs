//! The changes that are sent when they are due: their order, and the change before, are acknowledged.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

use shared::{lifecycle::ChangeNumber, order::PlacedStatus};

use crate::pace::Order;

/// The most changes that are pending. An order has one at a time, so this is the number of orders that go on at once:
/// those of 25 seconds at 60,000 orders a second. They take 48 MB.
pub const MAX_PENDING: usize = 1_500_000;

/// A change of an order. Its status, reason and due time follow from the plan of the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderChange {
    pub order: Order,
    /// The partition of the order, in which all its changes are.
    pub partition: i32,
    /// Position in the history of the order, from 1.
    pub sequence: u8,
    /// The status that the order was placed with.
    pub placed: PlacedStatus,
}

impl OrderChange {
    /// The number of the change in the ledger.
    pub fn number(&self) -> ChangeNumber {
        ChangeNumber::new(self.order.number, self.sequence.into()).expect("an order that was sent has such a change")
    }
}

/// A change that is not sent yet. Small, since there is one for each order that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingChange {
    /// Nanoseconds after the start.
    pub due: u64,
    pub change: OrderChange,
}

const _: () = assert!(size_of::<PendingChange>() <= 32);

impl Ord for PendingChange {
    /// By the due time; those of one time in the order of their numbers.
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |Self { due, change }: &Self| (*due, change.order.number, change.sequence);
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for PendingChange {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The pending changes, by their due times.
#[derive(Debug)]
pub struct PendingChanges {
    changes: BinaryHeap<Reverse<PendingChange>>,
    limit: usize,
}

impl PendingChanges {
    /// At most `limit` changes.
    pub fn new(limit: usize) -> Self {
        Self { changes: BinaryHeap::new(), limit }
    }

    pub fn len(&self) -> usize {
        self.changes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// When the next change is due, in nanoseconds after the start.
    pub fn next_due(&self) -> Option<u64> {
        self.changes.peek().map(|Reverse(change)| change.due)
    }

    /// Adds a change. Returns false when there are too many.
    pub fn add(&mut self, change: PendingChange) -> bool {
        if self.changes.len() >= self.limit {
            return false;
        }
        self.reserve();
        self.changes.push(Reverse(change));
        true
    }

    /// Doubles the memory when it is full, but not beyond the limit.
    fn reserve(&mut self) {
        let length = self.changes.len();
        if length == self.changes.capacity() {
            let capacity = (length * 2).clamp(1_024, self.limit.max(1_024));
            self.changes.reserve_exact(capacity - length);
        }
    }

    /// Removes and returns the change that is due first, if it is due by `now`, in nanoseconds after the start.
    pub fn take_due(&mut self, now: i64) -> Option<PendingChange> {
        let is_due = self.next_due().is_some_and(|due| i64::try_from(due).is_ok_and(|due| due <= now));
        if is_due { self.changes.pop().map(|Reverse(change)| change) } else { None }
    }

    /// Adds a change that was taken and could not be sent yet.
    pub fn return_unsent(&mut self, change: PendingChange) {
        self.changes.push(Reverse(change));
    }

    /// Removes all changes, and returns how many of them are due by `time`, in nanoseconds after the start.
    pub fn clear(&mut self, time: i64) -> u64 {
        let is_due = |change: &Reverse<PendingChange>| i64::try_from(change.0.due).is_ok_and(|due| due <= time);
        let due = self.changes.iter().filter(|change| is_due(change)).count();
        self.changes = BinaryHeap::new();
        due as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(due: u64, number: u64) -> PendingChange {
        let order = Order { number, due: 0 };
        PendingChange { due, change: OrderChange { order, partition: 0, sequence: 1, placed: PlacedStatus::Paid } }
    }

    /// Those of a minute at 10,000 orders a second.
    #[test]
    fn the_pending_changes_of_600000_orders_take_less_than_64_mib_even_while_their_memory_grows() {
        let mut pending = PendingChanges::new(MAX_PENDING);
        let (mut before, mut most) = (0, 0);
        for number in 0..600_000 {
            assert!(pending.add(change(number % 997, number)));
            let capacity = pending.changes.capacity();
            if capacity != before {
                // The old memory is copied into the new one.
                most = most.max((before + capacity) * size_of::<PendingChange>());
                before = capacity;
            }
        }
        assert_eq!(pending.len(), 600_000);
        assert!(most < 64 << 20, "{most} bytes");
    }

    #[test]
    fn the_memory_does_not_grow_beyond_the_limit() {
        let mut pending = PendingChanges::new(5_000);
        let added = (0..6_000).filter(|number| pending.add(change(*number, *number))).count();
        assert_eq!((added, pending.len(), pending.changes.capacity()), (5_000, 5_000, 5_000));
        let taken = pending.take_due(0).unwrap();
        pending.return_unsent(taken);
        assert_eq!((pending.len(), pending.next_due(), pending.changes.capacity()), (5_000, Some(0), 5_000));
    }

    #[test]
    fn changes_are_taken_by_their_due_times_and_never_early() {
        let mut pending = PendingChanges::new(10);
        for (due, number) in [(30, 1), (10, 2), (20, 4), (20, 3)] {
            assert!(pending.add(change(due, number)));
        }
        let mut taken = |now| std::iter::from_fn(|| pending.take_due(now)).map(|it| it.change.order.number).collect();
        let times: [Vec<u64>; 5] = [-1, 9, 10, 29, 30].map(&mut taken);
        assert_eq!(times, [vec![], vec![], vec![2], vec![3, 4], vec![1]]);
    }

    #[test]
    fn dropped_changes_are_told_apart_by_whether_they_were_due() {
        let mut pending = PendingChanges::new(10);
        for due in [5, 10, 11, 20] {
            assert!(pending.add(change(due, due)));
        }
        assert_eq!(pending.clear(10), 2);
        assert!(pending.is_empty() && pending.clear(100) == 0);
    }
}
