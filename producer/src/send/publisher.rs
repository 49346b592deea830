//! The sending thread: passes each order to librdkafka at its due time, and then the changes of orders.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::bail;
use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, Producer, PurgeConfig},
};
use shared::service_manager::Heartbeat;
use tokio_util::sync::CancellationToken;

use super::{
    delivery::{DeliveryContext, DeliveryTracker, EnqueueOutcome},
    partition_queue::PartitionQueues,
    partitioner::PartitionChooser,
    report_signal::ReportSignal,
    stall::Stall,
};
use crate::{
    clock::RunClock,
    generate::{ChangeEncoder, Encoder},
    pace::{Next, Order, Pacer, Skipped, tolerance::MIN_DELAY_TOLERANCE},
};

/// Maximum orders between two polls of the delivery reports. The stop signal is checked as often.
const ORDERS_PER_POLL: u32 = 500;
/// Maximum wait, so that the stop signal is handled soon at any rate.
const MAX_WAIT: Duration = Duration::from_millis(10);
/// Maximum wait while the client's queue is full or being flushed. A delivery report ends it in a paced run.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(1);
/// Timeout of fetching the topic's metadata before the first order.
const METADATA_TIMEOUT: Duration = Duration::from_millis(150);
/// Timeout of the delivery reports of purged orders; they need no broker.
const PURGE_TIMEOUT: Duration = Duration::from_secs(2);

/// Sends the orders of a run.
pub struct Publisher {
    pub client: BaseProducer<DeliveryContext>,
    pub clock: RunClock,
    pub tracker: Arc<DeliveryTracker>,
    pub pacer: Pacer,
    pub encoder: Encoder,
    /// `None`: the client chooses the partition, by a setting of the user.
    pub partitioner: Option<PartitionChooser>,
    pub queues: PartitionQueues,
    pub topic: String,
    /// `None`: orders do not go on.
    pub changes: Option<ChangeEncoder>,
    /// Timeout of the outstanding acknowledgements at the end.
    pub flush_timeout: Duration,
    /// Beats with each poll of the delivery reports.
    pub heartbeat: Heartbeat,
}

/// How the sending ended.
pub struct Sent {
    pub skipped: Skipped,
    /// Length of the schedule without the warm-up; `None` for an unpaced run.
    pub length: Option<Duration>,
    /// The longest stall, without the warm-up.
    pub stall: Option<Stall>,
    /// Number of orders that became due during the stall, an expected value with Poisson arrivals; `None` for an
    /// unpaced run.
    pub due_in_stall: Option<u64>,
    /// The fatal error of librdkafka that ended the run.
    pub fatal: Option<anyhow::Error>,
}

/// What remains after the last order.
pub(super) enum Remaining {
    /// Changes that are pending, or whose delivery report may lead to one.
    Changes,
    /// Delivery reports, to wait for at most this long.
    Reports(Duration),
    /// Nothing that is worth waiting for: the brokers acknowledge nothing.
    Nothing,
}

/// What the sending thread does after it sent the due orders.
enum AfterSend {
    SendMore,
    WaitUntil(u64),
    End,
}

impl Publisher {
    /// Sends until the schedule is over or `stop` is cancelled, then waits for the acknowledgements. Every order has
    /// been counted when this returns, also those still in flight after the flush timeout. Blocks; runs on a thread of
    /// its own.
    pub fn run(mut self, stop: &CancellationToken) -> Sent {
        self.prefetch_metadata();
        // An unpaced run polls all the time, and has no use for a signal per report.
        let _signal = if self.pacer.is_paced() { ReportSignal::for_current_thread(&self.client) } else { None };
        let mut waiting = None;
        let mut fatal = None;
        let (mut flush_timeout, mut is_given_up) = (self.flush_timeout, false);
        while !stop.is_cancelled() && fatal.is_none() {
            let after_send = self.send_orders_and_changes(&mut waiting);
            self.poll_deliveries();
            match after_send {
                Ok(AfterSend::SendMore) => {}
                Ok(AfterSend::WaitUntil(due)) => self.wait_until(due),
                Ok(AfterSend::End) => match self.after_last_order() {
                    Remaining::Changes => self.wait_until(u64::MAX),
                    Remaining::Reports(timeout) => {
                        flush_timeout = timeout;
                        break;
                    }
                    Remaining::Nothing => {
                        (flush_timeout, is_given_up) = (Duration::ZERO, true);
                        break;
                    }
                },
                Err(error) => fatal = Some(error),
            }
        }
        if stop.is_cancelled() {
            self.skip_overdue(waiting);
        }
        let sent_until = self.clock.now();
        self.flush(flush_timeout);
        self.tracker.drop_changes(if is_given_up { i64::MAX } else { overdue(sent_until) });
        let fatal = fatal.or_else(|| self.fail_if_fatal().err());
        let stall = self.tracker.longest_stall();
        let due_in_stall = stall.and_then(|stall| self.due_between(stall.start, stall.end.min(sent_until)));
        Sent { skipped: self.pacer.skipped(), length: self.pacer.length(), stall, due_in_stall, fatal }
    }

    /// Polls the delivery reports, and passes to the client the orders that waited for them.
    fn poll_deliveries(&mut self) {
        self.heartbeat.beat();
        self.tracker.poll_deliveries(|| self.client.poll(Duration::ZERO));
        let failed = |token, error: &KafkaError| self.tracker.fail(token, error);
        self.queues.send_waiting(&self.client, &self.topic, &self.clock, failed);
    }

    fn due_between(&self, start: i64, end: i64) -> Option<u64> {
        let due_by = |time: i64| self.pacer.due_by(u64::try_from(time).unwrap_or_default());
        Some(due_by(end)?.saturating_sub(due_by(start)?))
    }

    /// Fetches the topic's partition leaders before the first order is due, which would otherwise wait for them. A
    /// failure is not an error: the client fetches them again when it sends.
    fn prefetch_metadata(&self) {
        let timeout = self.clock.until_start().min(METADATA_TIMEOUT);
        let fetched = self.client.client().fetch_metadata(Some(&self.topic), timeout);
        tracing::debug!("Kafka: metadata prefetched: {}", fetched.is_ok());
    }

    /// Counts the orders that are overdue at a stop as skipped: the brokers or the machine delayed them, and the
    /// figures must include that.
    fn skip_overdue(&mut self, waiting: Option<Order>) {
        if !self.pacer.is_paced() {
            return;
        }
        let overdue = overdue(self.clock.now());
        if let Some(order) = waiting.filter(|order| (order.due as i64) < overdue) {
            self.pacer.skip(order);
        }
        while let Next::Send(order) = self.pacer.next(overdue) {
            self.pacer.skip(order);
        }
    }

    fn send_orders_and_changes(&mut self, waiting: &mut Option<Order>) -> anyhow::Result<AfterSend> {
        // Without a schedule an order is always due, and would take each free place in the client's queue.
        if !self.pacer.is_paced() {
            self.send_changes()?;
            return self.send_due(waiting);
        }
        let after_send = self.send_due(waiting)?;
        self.send_changes()?;
        Ok(after_send)
    }

    /// Sends the due orders, at most [`ORDERS_PER_POLL`]. If the queue is full, the order of a paced run is stored in
    /// `waiting`.
    fn send_due(&mut self, waiting: &mut Option<Order>) -> anyhow::Result<AfterSend> {
        let mut now = self.clock.now();
        for _ in 0..ORDERS_PER_POLL {
            let late = |order: &Order| self.pacer.is_too_late(*order, u64::try_from(now).unwrap_or_default());
            if let Some(order) = waiting.take_if(|order| late(order)) {
                self.pacer.skip(order);
            }
            let order = match waiting.take() {
                // Its record is still in the encoder.
                Some(order) => order,
                None => match self.pacer.next(now) {
                    Next::Send(order) => {
                        self.encode(order, now)?;
                        order
                    }
                    Next::WaitUntil(due) => return Ok(AfterSend::WaitUntil(due)),
                    Next::EndOfSchedule => return Ok(AfterSend::End),
                },
            };
            match self.enqueue(order)? {
                Some(enqueued_at) => now = enqueued_at,
                None if self.pacer.is_paced() => {
                    *waiting = Some(order);
                    break;
                }
                None => {
                    self.pacer.return_unsent(order);
                    break;
                }
            }
        }
        Ok(AfterSend::SendMore)
    }

    fn encode(&mut self, order: Order, now: i64) -> anyhow::Result<()> {
        if let Some(partitioner) = &mut self.partitioner {
            partitioner.assign(order);
        }
        self.encoder.encode(order.number, self.clock.unix_nanos(order.due), self.clock.instant(now))
    }

    /// Enqueues the encoded order and returns the time, in nanoseconds after the start; `None` when the client's queue
    /// is full and the order has to wait.
    fn enqueue(&mut self, order: Order) -> anyhow::Result<Option<i64>> {
        let due_millis = self.clock.unix_nanos(order.due) / 1_000_000;
        let outcome = self.tracker.enqueue(order, self.encoder.status(), self.encoder.corruption(), |token| {
            let mut record = BaseRecord::with_opaque_to(&self.topic, token.opaque())
                .key(self.encoder.key())
                .payload(self.encoder.value())
                .headers(self.encoder.headers())
                .timestamp(due_millis as i64);
            record.partition = self.partitioner.as_ref().map(|chooser| chooser.partition(self.encoder.key()));
            self.queues.send(&self.client, record, &self.clock)
        });
        match outcome {
            Ok(EnqueueOutcome::Enqueued(now)) => Ok(Some(now)),
            Ok(EnqueueOutcome::QueueFull) => {
                std::thread::park_timeout(POLL_INTERVAL);
                Ok(None)
            }
            Err(_) => self.fail_if_fatal().map(|()| Some(self.clock.now())),
        }
    }

    /// Waits until `due`, or until a change is due, or until a delivery report can be polled, at most [`MAX_WAIT`]. No
    /// report ends the wait of an unpaced run, which has sent its orders: it polls in between.
    fn wait_until(&self, due: u64) {
        let due = i64::try_from(due).unwrap_or(i64::MAX).min(self.next_change().unwrap_or(i64::MAX));
        let max = if self.pacer.is_paced() { MAX_WAIT } else { POLL_INTERVAL };
        if let Ok(wait) = u64::try_from(due.saturating_sub(self.clock.now())) {
            std::thread::park_timeout(Duration::from_nanos(wait).min(max));
        }
    }

    /// Waits for the acknowledgements. Records still in flight after the timeout are purged: their delivery reports
    /// distinguish failed (never sent) from unknown (sent).
    fn flush(&mut self, timeout: Duration) {
        self.poll_until_empty(timeout);
        for token in self.queues.purge() {
            self.tracker.fail(token, &KafkaError::MessageProduction(RDKafkaErrorCode::PurgeQueue));
        }
        if self.client.in_flight_count() > 0 {
            self.client.purge(PurgeConfig::default().queue().inflight());
            self.poll_until_empty(PURGE_TIMEOUT);
        }
    }

    fn poll_until_empty(&mut self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        while (self.client.in_flight_count() > 0 || !self.queues.is_empty()) && Instant::now() < deadline {
            std::thread::park_timeout(POLL_INTERVAL);
            self.poll_deliveries();
        }
    }

    pub(super) fn fail_if_fatal(&self) -> anyhow::Result<()> {
        match self.client.client().fatal_error() {
            Some((code, reason)) => bail!("the Kafka client stopped with a fatal error: {reason} ({code})"),
            None => Ok(()),
        }
    }
}

/// What is due before this time is overdue at `now`, in nanoseconds after the start.
fn overdue(now: i64) -> i64 {
    now - MIN_DELAY_TOLERANCE.as_nanos() as i64
}
