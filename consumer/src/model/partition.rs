//! One assignment of one partition, shared by the reader and all records in flight.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Instant,
};

/// One assignment of one partition. Each assignment of a partition has a handle of its own: once the partition is
/// revoked, a record of the old assignment can't be mistaken for one of the next (invariant 9).
#[derive(Debug)]
pub struct PartitionHandle {
    partition: i32,
    state: Mutex<HandleState>,
    idle: Condvar,
    /// The offset below which everything is stored; [`UNKNOWN_OFFSET`] until it is known.
    stored_offset: AtomicI64,
    /// The offset after the last record that was read; [`UNKNOWN_OFFSET`] before the first one.
    read_to: AtomicI64,
    /// The timestamp, in milliseconds, of the first record that waited, or of the last one that was stored since.
    waiting_since: AtomicI64,
    /// Rows inserted, whose offset may not be stored yet.
    progress: AtomicU64,
    /// Whether the partition is paused, since the queue of its worker is full.
    held_back: AtomicBool,
}

const UNKNOWN_OFFSET: i64 = -1;
const NO_TIMESTAMP: i64 = i64::MIN;

#[derive(Debug, Default)]
struct HandleState {
    in_flight: usize,
    revoked: bool,
}

impl PartitionHandle {
    pub fn new(partition: i32) -> Arc<Self> {
        Arc::new(Self {
            partition,
            state: Mutex::default(),
            idle: Condvar::new(),
            stored_offset: AtomicI64::new(UNKNOWN_OFFSET),
            read_to: AtomicI64::new(UNKNOWN_OFFSET),
            waiting_since: AtomicI64::new(NO_TIMESTAMP),
            progress: AtomicU64::new(0),
            held_back: AtomicBool::new(false),
        })
    }

    fn state(&self) -> MutexGuard<'_, HandleState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// Records that everything below `offset` is stored, now or before this assignment.
    pub fn advance_stored_offset(&self, offset: i64) {
        self.stored_offset.fetch_max(offset, Ordering::Relaxed);
    }

    /// The offset below which everything is stored; none until it is known.
    pub fn stored_offset(&self) -> Option<i64> {
        Some(self.stored_offset.load(Ordering::Relaxed)).filter(|offset| *offset != UNKNOWN_OFFSET)
    }

    /// Records that the record at `offset` was read.
    pub fn note_read(&self, offset: i64, timestamp: Option<i64>) {
        if self.all_read_is_stored() {
            self.waiting_since.store(timestamp.unwrap_or(NO_TIMESTAMP), Ordering::Relaxed);
        }
        self.read_to.store(offset + 1, Ordering::Relaxed);
    }

    /// Records that the record at `offset`, and everything below it, is stored.
    pub fn note_stored(&self, offset: i64, timestamp: Option<i64>) {
        self.waiting_since.store(timestamp.unwrap_or(NO_TIMESTAMP), Ordering::Relaxed);
        self.advance_stored_offset(offset + 1);
    }

    /// The timestamp, in milliseconds after the Unix epoch, of the oldest record that was read and is not stored; once
    /// others were stored before it, that of the last of them, since those in flight are not looked at. None when all
    /// are stored, or have no timestamp.
    pub fn waiting_since(&self) -> Option<i64> {
        let since = self.waiting_since.load(Ordering::Relaxed);
        (since != NO_TIMESTAMP && !self.all_read_is_stored()).then_some(since)
    }

    fn all_read_is_stored(&self) -> bool {
        self.read_to.load(Ordering::Relaxed) <= self.stored_offset.load(Ordering::Relaxed)
    }

    /// Counts a row as inserted. Its offset is stored at the end of its batch.
    pub fn note_progress(&self) {
        self.progress.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of rows inserted. It grows while a batch takes long.
    pub fn progress(&self) -> u64 {
        self.progress.load(Ordering::Relaxed)
    }

    /// Records whether the partition is paused, since the queue of its worker is full.
    pub fn hold_back(&self, held_back: bool) {
        self.held_back.store(held_back, Ordering::Relaxed);
    }

    /// Whether the partition waits for its worker: it has records in flight, or is paused until the worker has room.
    pub fn waits_for_worker(&self) -> bool {
        self.held_back.load(Ordering::Relaxed) || self.is_busy()
    }

    /// Whether records of this assignment are in flight.
    pub fn is_busy(&self) -> bool {
        self.state().in_flight > 0
    }

    /// Counts a record as in flight; false when the partition is revoked.
    pub fn begin(&self) -> bool {
        let mut state = self.state();
        if !state.revoked {
            state.in_flight += 1;
        }
        !state.revoked
    }

    /// Counts `records` as no longer in flight: their offset is stored, or they are handed back.
    pub fn end(&self, records: usize) {
        let mut state = self.state();
        state.in_flight -= records;
        if state.in_flight == 0 {
            self.idle.notify_all();
        }
    }

    /// Marks the partition as revoked. From then on, no row of this assignment is inserted and no offset is stored.
    pub fn revoke(&self) {
        self.state().revoked = true;
    }

    pub fn is_revoked(&self) -> bool {
        self.state().revoked
    }

    /// Blocks until no record is in flight. Returns false at `deadline`.
    pub fn wait_until_idle(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.idle.wait_timeout_while(self.state(), left, |state| state.in_flight > 0);
        waited.unwrap_or_else(PoisonError::into_inner).0.in_flight == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_record_that_waits_is_the_first_one_that_was_read_after_those_that_are_stored() {
        let partition = PartitionHandle::new(0);
        partition.advance_stored_offset(10);
        assert_eq!(partition.waiting_since(), None);
        partition.note_read(10, Some(1_000));
        partition.note_read(11, Some(2_000));
        partition.note_read(12, Some(3_000));
        assert_eq!(partition.waiting_since(), Some(1_000));
        partition.note_stored(11, Some(2_000));
        assert_eq!(partition.waiting_since(), Some(2_000), "that of the last stored one is near enough");
        partition.note_stored(12, Some(3_000));
        assert_eq!(partition.waiting_since(), None);
        partition.note_read(13, Some(900_000));
        assert_eq!(partition.waiting_since(), Some(900_000), "not that of a record before a pause");
        let without_timestamps = PartitionHandle::new(1);
        without_timestamps.note_read(0, None);
        assert_eq!(without_timestamps.waiting_since(), None);
    }
}
