//! The changes in flight, and what their delivery reports lead to: the next change of the order, or the end of its
//! history. A change that failed or is unknown has no successor, so that no history has a hole.

use std::time::Duration;

use rdkafka::error::KafkaError;
use shared::order::PlacedStatus;

use super::{
    change_tally::Schedule,
    delivery::{DeliveryToken, DeliveryTracker, EnqueueOutcome, InFlight, State, is_queue_full},
    delivery_report::DeliveryReport,
};
use crate::{
    lifecycle::{OrderChange, PendingChange},
    pace::{Order, Phase},
};

impl State {
    /// An order was acknowledged: its first change is pending from now on. `None`: the order does not go on.
    pub(super) fn go_on(&mut self, order: Order, placed: Option<PlacedStatus>, partition: i32) {
        let (Some(histories), Some(placed)) = (&mut self.histories, placed) else { return };
        let skipped = histories.go_on(OrderChange { order, partition, sequence: 0, placed });
        self.tally.changes().skipped += skipped;
    }

    /// A change was sent, with this result; `phase` is that of its order.
    pub(super) fn complete_change(&mut self, change: OrderChange, now: i64, phase: Phase, report: &DeliveryReport<'_>) {
        let Self { tally, histories: Some(histories), .. } = self else { return };
        match report {
            DeliveryReport::Acknowledged { .. } => {
                let acknowledged = histories.acknowledged(change);
                let latency = now - acknowledged.due as i64;
                tally.change_acknowledged(change.number(), acknowledged.status, latency, phase);
                tally.changes().skipped += acknowledged.skipped;
            }
            DeliveryReport::Failed(error) => tally.change_failed(change.number(), error),
            DeliveryReport::Unknown(error) => tally.change_unknown(error),
        }
    }
}

impl DeliveryTracker {
    /// Enqueues the change by `send`, which passes the token on with the record. A refused change is counted as failed.
    ///
    /// # Errors
    /// When librdkafka refuses the change for another reason than a full queue.
    pub fn enqueue_change(
        &self,
        pending: &PendingChange,
        send: impl FnOnce(DeliveryToken) -> Result<(), KafkaError>,
    ) -> Result<EnqueueOutcome, KafkaError> {
        let PendingChange { due, change } = *pending;
        let mut state = self.lock();
        let State { tally, in_flight, silence, .. } = &mut *state;
        let is_first = in_flight.is_empty();
        let vacant = in_flight.vacant_entry();
        let sent = send(DeliveryToken::from_opaque(vacant.key()));
        if is_queue_full(&sent) {
            return Ok(EnqueueOutcome::QueueFull);
        }
        let now = self.clock.now();
        tally.changes().enqueued(now - due as i64, self.phase(change.order.due));
        match sent {
            Ok(()) => {
                vacant.insert(InFlight::changed(change, now));
                if is_first {
                    silence.begin(now);
                }
                Ok(EnqueueOutcome::Enqueued(now))
            }
            Err(error) => {
                tally.change_failed(change.number(), &error);
                Err(error)
            }
        }
    }

    /// When the next pending change is due, in nanoseconds after the start.
    pub fn next_change_due(&self) -> Option<u64> {
        self.lock().histories.as_mut()?.pending().next_due()
    }

    /// Removes and returns the pending change that is due first, if it is due `now`, in nanoseconds after the start.
    pub fn take_due_change(&self, now: i64) -> Option<PendingChange> {
        self.lock().histories.as_mut()?.pending().take_due(now)
    }

    /// Keeps a change that was taken and could not be sent yet.
    pub fn return_change(&self, change: PendingChange) {
        if let Some(histories) = &mut self.lock().histories {
            histories.pending().return_unsent(change);
        }
    }

    /// The last order was sent: only changes follow.
    pub fn end_schedule(&self) {
        let mut state = self.lock();
        if state.schedule == Schedule::Running {
            state.schedule = Schedule::Over;
            state.silence.begin(self.clock.now());
        }
    }

    /// How long the brokers have acknowledged nothing, although a record is in flight or due.
    pub fn silence(&self) -> Duration {
        let mut state = self.lock();
        let (now, any_in_flight) = (self.clock.now(), !state.in_flight.is_empty());
        let next_due = state.histories.as_mut().and_then(|histories| histories.pending().next_due());
        state.silence.length(now, any_in_flight, next_due)
    }

    /// Whether a record is in flight or a change is pending.
    pub fn has_open_records(&self) -> bool {
        let mut state = self.lock();
        !state.in_flight.is_empty() || state.histories.as_mut().is_some_and(|histories| !histories.pending().is_empty())
    }

    /// Drops the pending changes. Those that are due by `time`, in nanoseconds after the start, are counted as skipped.
    pub fn drop_changes(&self, time: i64) {
        let mut state = self.lock();
        let State { tally, histories: Some(histories), .. } = &mut *state else { return };
        tally.changes().skipped += histories.pending().clear(time);
    }
}
