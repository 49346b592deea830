//! Passes the changes of orders to librdkafka when they are due. They come after the orders that are due: the schedule of
//! the orders is what a run measures.

use std::time::Duration;

use rdkafka::producer::BaseRecord;

use super::{
    delivery::EnqueueOutcome,
    publisher::{POLL_INTERVAL, Publisher, Remaining},
};
use crate::lifecycle::PendingChange;

/// Maximum changes between two polls of the delivery reports.
const CHANGES_PER_POLL: u32 = 500;
/// As many changes are sent also when an order is due: a run whose orders are always late sends changes nevertheless. It
/// delays an order by less than 0.1 ms.
const MIN_CHANGES_PER_POLL: u32 = 32;

impl Publisher {
    /// Sends the due changes, at most [`CHANGES_PER_POLL`], until an order of the schedule is due.
    pub(super) fn send_changes(&mut self) -> anyhow::Result<()> {
        if self.changes.is_none() {
            return Ok(());
        }
        let mut now = self.clock.now();
        let next_order = self.pacer.next_due().map_or(i64::MAX, |due| i64::try_from(due).unwrap_or(i64::MAX));
        for sent in 0..CHANGES_PER_POLL {
            if sent >= MIN_CHANGES_PER_POLL && next_order <= now {
                break;
            }
            let Some(pending) = self.tracker.take_due_change(now) else { break };
            match self.enqueue_change(&pending)? {
                Some(enqueued_at) => now = enqueued_at,
                None => {
                    self.tracker.return_change(pending);
                    std::thread::park_timeout(POLL_INTERVAL);
                    break;
                }
            }
        }
        Ok(())
    }

    /// Enqueues the change and returns the time, in nanoseconds after the start; `None` when the client's queue is full.
    fn enqueue_change(&mut self, pending: &PendingChange) -> anyhow::Result<Option<i64>> {
        let Some(encoder) = &mut self.changes else { return Ok(None) };
        encoder.encode(pending, self.clock);
        let due_millis = self.clock.unix_nanos(pending.due) / 1_000_000;
        let outcome = self.tracker.enqueue_change(pending, |token| {
            let record = BaseRecord::with_opaque_to(&self.topic, token.opaque())
                .partition(pending.change.partition)
                .key(encoder.key())
                .payload(encoder.value())
                .headers(encoder.headers())
                .timestamp(due_millis as i64);
            match &self.partitioner {
                Some(_) => self.queues.send(&self.client, record, &self.clock),
                // The orders pass by the queues, so that those would wait for acknowledgements that nobody counts.
                None => self.client.send(record).map_err(|(error, _)| error),
            }
        });
        match outcome {
            Ok(EnqueueOutcome::Enqueued(now)) => Ok(Some(now)),
            Ok(EnqueueOutcome::QueueFull) => Ok(None),
            Err(_) => self.fail_if_fatal().map(|()| Some(self.clock.now())),
        }
    }

    /// The schedule is over. The run goes on until no change is pending and none may follow. It gives up when changes
    /// or delivery reports are waited for, and nothing was enqueued for the flush timeout.
    pub(super) fn after_last_order(&mut self) -> Remaining {
        if self.changes.is_none() {
            return Remaining::Reports(self.flush_timeout);
        }
        let now = self.clock.now();
        let idle_since = self.tracker.end_schedule(now);
        if !self.tracker.has_open_records() {
            return Remaining::Reports(Duration::ZERO);
        }
        let waits_for_client = self.tracker.next_change_due().is_none_or(|due| due as i64 <= now);
        let idle = Duration::from_nanos(u64::try_from(now - idle_since).unwrap_or_default());
        let is_given_up = waits_for_client && idle >= self.flush_timeout;
        if is_given_up { Remaining::Reports(Duration::ZERO) } else { Remaining::Changes }
    }
}
