//! The figures of the changes of orders while a run lasts.

use shared::ledger::JournalContents;

use crate::send::change_tally::{ChangeTally, Schedule};

/// The changes of a running run.
#[derive(Clone, Copy, Debug, Default)]
pub struct LiveChanges {
    pub enqueued: u64,
    pub acknowledged: u64,
    /// Failed or unknown.
    pub unacknowledged: u64,
    pub skipped: u64,
    pub pending: u64,
    pub schedule: Schedule,
}

impl LiveChanges {
    pub fn in_flight(&self) -> u64 {
        self.enqueued.saturating_sub(self.acknowledged + self.unacknowledged)
    }

    /// Adds the tally of an interval, which has these sequences.
    pub fn add(&mut self, tally: &ChangeTally, sequences: &JournalContents) {
        self.enqueued += tally.enqueued;
        self.acknowledged += sequences.changes_acknowledged.len();
        self.unacknowledged += sequences.changes_failed.len() + tally.unknown;
        self.skipped += tally.skipped;
        (self.pending, self.schedule) = (tally.pending, tally.schedule);
    }
}
