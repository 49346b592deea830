//! Counts every record: consumed = stored + duplicates + dead-lettered + handed back (invariant 6), orders and changes
//! apart.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use ::metrics::counter;

use crate::{
    metrics::{self, RecordMetrics},
    model::RecordKind,
};

/// The records that this instance read, by kind and outcome. A record that can't be decoded counts as its header
/// `event-type` says.
#[derive(Debug, Default)]
pub struct Accounting {
    orders: Outcomes,
    changes: Outcomes,
}

/// Records by outcome.
#[derive(Debug, Default)]
struct Outcomes {
    consumed: AtomicU64,
    stored: AtomicU64,
    duplicates: AtomicU64,
    dead_lettered: AtomicU64,
    handed_back: AtomicU64,
}

/// Records that the tables accepted.
#[derive(Clone, Copy, Debug, Default)]
pub struct StoredCount {
    pub accepted: u64,
    /// Those that the tables did not have before; the others are duplicates.
    pub new: u64,
}

impl Accounting {
    fn of(&self, kind: RecordKind) -> (&Outcomes, RecordMetrics) {
        match kind {
            RecordKind::Order => (&self.orders, metrics::OF_ORDERS),
            RecordKind::Change => (&self.changes, metrics::OF_CHANGES),
        }
    }

    /// Counts a record as read.
    pub fn consumed(&self, kind: RecordKind) {
        let (outcomes, metrics) = self.of(kind);
        outcomes.consumed.fetch_add(1, Relaxed);
        counter!(metrics.consumed).increment(1);
    }

    /// Counts records that the tables accepted.
    pub fn stored(&self, kind: RecordKind, StoredCount { accepted, new }: StoredCount) {
        let (outcomes, metrics) = self.of(kind);
        outcomes.stored.fetch_add(new, Relaxed);
        outcomes.duplicates.fetch_add(accepted - new, Relaxed);
        counter!(metrics.stored).increment(new);
        counter!(metrics.duplicates).increment(accepted - new);
    }

    /// Counts a record that the dead-letter topic acknowledged.
    pub fn dead_lettered(&self, kind: RecordKind, reason: &'static str) {
        let (outcomes, metrics) = self.of(kind);
        outcomes.dead_lettered.fetch_add(1, Relaxed);
        counter!(metrics.dead_lettered, "kind" => reason).increment(1);
    }

    /// Counts records that were read and are left to the next owner of their partition, their offsets not stored.
    pub fn handed_back(&self, kind: RecordKind, records: u64) {
        let (outcomes, metrics) = self.of(kind);
        outcomes.handed_back.fetch_add(records, Relaxed);
        counter!(metrics.handed_back).increment(records);
    }

    /// Whether every record that was read has an outcome; false while records are in flight.
    pub fn is_balanced(&self) -> bool {
        self.orders.are_balanced() && self.changes.are_balanced()
    }
}

impl Outcomes {
    fn are_balanced(&self) -> bool {
        let ended = [&self.stored, &self.duplicates, &self.dead_lettered, &self.handed_back];
        self.consumed.load(Relaxed) == ended.iter().map(|count| count.load(Relaxed)).sum::<u64>()
    }
}

impl fmt::Display for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [consumed, stored, duplicates, dead, back] =
            [&self.consumed, &self.stored, &self.duplicates, &self.dead_lettered, &self.handed_back]
                .map(|count| count.load(Relaxed));
        write!(
            f,
            "consumed {consumed} = stored {stored} + duplicates {duplicates} + dead-lettered {dead} + \
             handed back {back}"
        )
    }
}

impl fmt::Display for Accounting {
    /// The changes only if there were any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.orders.fmt(f)?;
        if self.changes.consumed.load(Relaxed) > 0 {
            write!(f, "; changes: {}", self.changes)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_and_changes_must_balance_each_for_itself() {
        let accounting = Accounting::default();
        accounting.consumed(RecordKind::Order);
        accounting.stored(RecordKind::Order, StoredCount { accepted: 1, new: 1 });
        assert!(accounting.is_balanced());
        let orders = "consumed 1 = stored 1 + duplicates 0 + dead-lettered 0 + handed back 0";
        assert_eq!(accounting.to_string(), orders);
        accounting.consumed(RecordKind::Change);
        accounting.stored(RecordKind::Order, StoredCount { accepted: 1, new: 0 });
        assert!(!accounting.is_balanced(), "an order does not stand for a change");
        let changes = "changes: consumed 1 = stored 0 + duplicates 0 + dead-lettered 0 + handed back 0";
        assert!(accounting.to_string().ends_with(&format!("; {changes}")), "{accounting}");
    }
}
