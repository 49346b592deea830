//! Counts every record: consumed = stored + duplicates + dead-lettered + handed back (invariant 6).

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use ::metrics::counter;

use crate::metrics;

/// The records that this instance read, by outcome.
#[derive(Debug, Default)]
pub struct Accounting {
    consumed: AtomicU64,
    stored: AtomicU64,
    duplicates: AtomicU64,
    dead_lettered: AtomicU64,
    handed_back: AtomicU64,
}

impl Accounting {
    /// Counts a record as read.
    pub fn consumed(&self) {
        self.consumed.fetch_add(1, Relaxed);
        counter!(metrics::CONSUMED).increment(1);
    }

    /// Counts `rows` rows that were sent to the table: it inserted `inserted` of them, the others are duplicates.
    pub fn inserted(&self, rows: u64, inserted: u64) {
        self.stored.fetch_add(inserted, Relaxed);
        self.duplicates.fetch_add(rows - inserted, Relaxed);
        counter!(metrics::STORED).increment(inserted);
        counter!(metrics::DUPLICATES).increment(rows - inserted);
    }

    /// Counts a record that the dead-letter topic acknowledged.
    pub fn dead_lettered(&self, kind: &'static str) {
        self.dead_lettered.fetch_add(1, Relaxed);
        counter!(metrics::DEAD_LETTERED, "kind" => kind).increment(1);
    }

    /// Counts records that were read and are left to the next owner of their partition, their offsets not stored.
    pub fn handed_back(&self, records: u64) {
        self.handed_back.fetch_add(records, Relaxed);
        counter!(metrics::HANDED_BACK).increment(records);
    }

    /// Whether every record that was read has an outcome; false while records are in flight.
    pub fn is_balanced(&self) -> bool {
        let ended = [&self.stored, &self.duplicates, &self.dead_lettered, &self.handed_back];
        self.consumed.load(Relaxed) == ended.iter().map(|count| count.load(Relaxed)).sum::<u64>()
    }
}

impl fmt::Display for Accounting {
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
