//! Passes the changes of orders to librdkafka when they are due. They come after the orders that are due: the schedule
//! of the orders is what a run measures.

use std::time::Duration;

use rdkafka::producer::BaseRecord;

use super::{
    delivery::EnqueueOutcome,
    publisher::{POLL_INTERVAL, Publisher, Remaining},
};
use crate::{generate::ChangeEncoder, lifecycle::PendingChange};

/// Maximum changes between two polls of the delivery reports.
const CHANGES_PER_POLL: u32 = 500;
/// As many changes are sent also when an order is due: a run whose orders are always late sends changes nevertheless.
/// It delays an order by less than 0.1 ms.
const MIN_CHANGES_PER_POLL: u32 = 32;

impl Publisher {
    /// Sends the due changes, at most [`CHANGES_PER_POLL`], until an order of the schedule is due.
    pub(super) fn send_changes(&mut self) -> anyhow::Result<()> {
        let Some(mut encoder) = self.changes.take() else { return Ok(()) };
        let sent = if self.have_changes_room() { self.send_due_changes(&mut encoder) } else { Ok(()) };
        self.changes = Some(encoder);
        sent
    }

    /// Whether changes leave enough of the queue to the orders: in an outage, both kinds fill it, and a change can as
    /// well wait where it is. Without a schedule, orders take each free place anyway.
    fn have_changes_room(&self) -> bool {
        !(self.pacer.is_paced() && self.queues.is_half_full(&self.client))
    }

    /// When to send the next change, in nanoseconds after the start.
    pub(super) fn next_change(&self) -> Option<i64> {
        self.changes.as_ref()?;
        let due = i64::try_from(self.tracker.next_change_due()?).unwrap_or(i64::MAX);
        if self.have_changes_room() {
            return Some(due);
        }
        Some(due.max(self.clock.now() + POLL_INTERVAL.as_nanos() as i64))
    }

    fn send_due_changes(&mut self, encoder: &mut ChangeEncoder) -> anyhow::Result<()> {
        let mut now = self.clock.now();
        let next_order = self.pacer.next_due().map_or(i64::MAX, |due| i64::try_from(due).unwrap_or(i64::MAX));
        for sent in 0..CHANGES_PER_POLL {
            if sent >= MIN_CHANGES_PER_POLL && next_order <= now {
                break;
            }
            let Some(pending) = self.tracker.take_due_change(now) else { break };
            match self.enqueue_change(encoder, &pending)? {
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

    /// Enqueues the change and returns the time, in nanoseconds after the start; `None` when the client's queue is
    /// full.
    fn enqueue_change(&mut self, encoder: &mut ChangeEncoder, pending: &PendingChange) -> anyhow::Result<Option<i64>> {
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

    /// The schedule is over. The run goes on until no change is pending and none may follow, or until the brokers have
    /// acknowledged nothing for the flush timeout.
    pub(super) fn after_last_order(&mut self) -> Remaining {
        if self.changes.is_none() {
            return Remaining::Reports(self.flush_timeout);
        }
        self.tracker.end_schedule();
        if !self.tracker.has_open_records() {
            return Remaining::Reports(Duration::ZERO);
        }
        if self.tracker.silence() < self.flush_timeout {
            return Remaining::Changes;
        }
        tracing::warn!(
            "the brokers have acknowledged nothing for {} (--flush-timeout): the run ends without its pending changes",
            humantime::format_duration(self.flush_timeout)
        );
        Remaining::Nothing
    }
}
