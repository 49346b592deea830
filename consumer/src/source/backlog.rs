//! Records that are read and not dispatched yet, since the queue to the workers is full.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use crate::model::{KafkaRecord, PartitionHandle};

/// A record of the backlog.
pub struct WaitingRecord {
    pub partition: Arc<PartitionHandle>,
    pub record: KafkaRecord,
    pub read_at: SystemTime,
}

/// The records that wait until the queue is no longer full, oldest first.
#[derive(Default)]
pub struct Backlog {
    pub records: VecDeque<WaitingRecord>,
    full_since: Option<Instant>,
    /// Whether the partitions are paused until the backlog is empty.
    pub paused: bool,
}

impl Backlog {
    /// How long the queue has been full.
    pub fn full_for(&mut self) -> Duration {
        self.full_since.get_or_insert_with(Instant::now).elapsed()
    }

    /// Records that the queue is no longer full. Returns whether the partitions were paused.
    pub fn clear_full(&mut self) -> bool {
        self.full_since = None;
        std::mem::take(&mut self.paused)
    }
}
