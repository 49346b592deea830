//! Records that are read and not dispatched yet, since the queue of their worker is full.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use crate::model::{KafkaRecord, PartitionHandle};

/// How long a full queue blocks the poll before the partitions of its worker are paused. A pause discards what the
/// client prefetched and costs up to a second, so it is used only for a worker that is slow for long.
const PAUSE_AFTER: Duration = Duration::from_secs(2);
/// The same while other workers wait for records: the time that they wait, less the time that they don't.
const PAUSE_AFTER_OTHERS_WAITED: Duration = Duration::from_secs(1);
/// How long a worker without records counts as waiting for more.
const EXPECTS_RECORDS: Duration = Duration::from_secs(5);
/// Interval at which the partitions of a full queue are paused again: those that were assigned meanwhile are not.
const PAUSE_INTERVAL: Duration = Duration::from_millis(100);

/// A record of the backlog.
pub struct WaitingRecord {
    pub partition: Arc<PartitionHandle>,
    pub record: KafkaRecord,
    pub read_at: SystemTime,
}

/// The records of one worker that wait until its queue is no longer full, oldest first.
#[derive(Default)]
pub struct Backlog {
    records: VecDeque<WaitingRecord>,
    last_read: Option<Instant>,
    full_since: Option<Instant>,
    others_waited: Duration,
    paused_at: Option<Instant>,
}

impl Backlog {
    pub fn push(&mut self, record: WaitingRecord) {
        self.last_read = Some(Instant::now());
        self.records.push_back(record);
    }

    pub fn first(&self) -> Option<&WaitingRecord> {
        self.records.front()
    }

    pub fn pop(&mut self) -> Option<WaitingRecord> {
        self.records.pop_front()
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub fn is_paused(&self) -> bool {
        self.paused_at.is_some()
    }

    /// Whether the poll must wait for this queue.
    pub fn blocks_poll(&self) -> bool {
        !self.is_empty() && !self.is_paused()
    }

    /// Whether the worker had records lately, and would process more if they were read.
    pub fn expects_records(&self) -> bool {
        self.is_empty() && self.last_read.is_some_and(|read| read.elapsed() < EXPECTS_RECORDS)
    }

    /// Counts time in which this queue blocked the poll. `others_wait` is whether another worker waits for records.
    pub fn count_blocked(&mut self, time: Duration, others_wait: bool) {
        self.full_since.get_or_insert_with(Instant::now);
        if others_wait {
            self.others_waited += time;
        } else {
            self.count_polled(time);
        }
    }

    /// Counts time in which the poll was not blocked by this queue.
    pub fn count_polled(&mut self, time: Duration) {
        self.others_waited = self.others_waited.saturating_sub(time);
    }

    /// Records that the queue is not full.
    pub fn clear_full(&mut self) {
        self.full_since = None;
    }

    /// Whether the partitions must be paused now: the queue blocked the poll for too long, or is paused and some
    /// partitions may not be.
    pub fn must_pause(&self) -> bool {
        match self.paused_at {
            Some(paused_at) => paused_at.elapsed() > PAUSE_INTERVAL,
            None => {
                self.full_since.is_some_and(|since| since.elapsed() > PAUSE_AFTER)
                    || self.others_waited > PAUSE_AFTER_OTHERS_WAITED
            }
        }
    }

    /// Records that the partitions are paused. Returns whether they were not before.
    pub fn pause(&mut self) -> bool {
        self.paused_at.replace(Instant::now()).is_none()
    }

    /// Records that the partitions are resumed.
    pub fn resume(&mut self) {
        *self = Self { records: std::mem::take(&mut self.records), last_read: self.last_read, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RecordPosition;

    fn full_backlog() -> Backlog {
        let record = KafkaRecord::of_order(RecordPosition { partition: 0, offset: 0 }, None, None, None);
        let mut backlog = Backlog::default();
        backlog.push(WaitingRecord { partition: PartitionHandle::new(0), record, read_at: SystemTime::now() });
        backlog
    }

    #[test]
    fn a_queue_is_paused_when_other_workers_wait_for_it_most_of_the_time() {
        let mut backlog = full_backlog();
        assert!(backlog.blocks_poll() && !backlog.expects_records());
        let tenth = PAUSE_AFTER_OTHERS_WAITED / 10;
        for _ in 0..1_000 {
            backlog.count_blocked(tenth, true);
            backlog.count_blocked(tenth, false);
            backlog.count_polled(tenth);
        }
        assert!(!backlog.must_pause(), "others wait for a third of the time");
        (0..15).for_each(|_| backlog.count_blocked(tenth, true));
        assert!(backlog.must_pause() && backlog.pause());
        assert!(!backlog.blocks_poll() && !backlog.must_pause() && !backlog.pause());
        backlog.pop();
        backlog.resume();
        assert!(!backlog.is_paused() && !backlog.must_pause() && backlog.expects_records());
    }
}
