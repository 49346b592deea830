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
