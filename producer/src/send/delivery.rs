//! Matches delivery reports with the orders in flight. An order is counted as acknowledged by its delivery report and
//! by nothing else (invariant 1).

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rdkafka::{
    ClientContext, Message,
    bindings::{rd_kafka_message_status, rd_kafka_msg_status_t},
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, DeliveryResult},
    producer::ProducerContext,
};
use slab::Slab;
use tokio::sync::watch;

use super::{
    client_orders::ClientOrders,
    spans::{OrderSpans, SpanOutcome},
    stall::{Stall, StallWatch},
    tally::{Tally, error_name},
};
use crate::{
    clock::RunClock,
    generate::Corruption,
    pace::{Order, Phase},
};

/// An order that is enqueued, without a delivery report yet.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    order: Order,
    /// Nanoseconds after the start.
    enqueued: i64,
}

/// Identifies an order in flight: librdkafka keeps it with the record and returns it with the delivery report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryToken(usize);

impl DeliveryToken {
    /// The token as the opaque value of a record.
    pub fn opaque(self) -> usize {
        self.0
    }

    /// The token of a record with this opaque value.
    pub fn from_opaque(opaque: usize) -> Self {
        Self(opaque)
    }
}

/// The result of [`DeliveryTracker::enqueue`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnqueueOutcome {
    /// At this time, in nanoseconds after the start.
    Enqueued(i64),
    QueueFull,
}

struct State {
    tally: Tally,
    stalls: StallWatch,
    /// Not larger than librdkafka's queue and those of the partitions.
    in_flight: Slab<InFlight>,
    /// When the current non-blocking poll began, in nanoseconds after the start.
    polling_since: Option<i64>,
}

impl State {
    /// An order has ended without an acknowledgement. If it was the last one, nothing is waited for any more.
    fn end_stall_without_orders(&mut self, now: i64) {
        if self.in_flight.is_empty() {
            self.stalls.end(now);
        }
    }
}

/// Tracks the orders in flight. The sending thread writes it, the recorder reads it.
pub struct DeliveryTracker {
    clock: RunClock,
    warm_up_nanos: u64,
    /// `None`: no order is traced.
    spans: Option<OrderSpans>,
    state: Mutex<State>,
}

impl DeliveryTracker {
    /// `spans` exports those of sampled orders; `None` when no order is traced.
    pub fn new(clock: RunClock, warm_up: Duration, spans: Option<OrderSpans>) -> Arc<Self> {
        let warm_up_nanos = u64::try_from(warm_up.as_nanos()).unwrap_or(u64::MAX);
        let stalls = StallWatch::new(i64::try_from(warm_up_nanos).unwrap_or(i64::MAX));
        let state = State { tally: Tally::default(), stalls, in_flight: Slab::default(), polling_since: None };
        Arc::new(Self { clock, warm_up_nanos, spans, state: Mutex::new(state) })
    }

    /// Returns the outcomes since the last call, and resets the tally.
    pub fn take_tally(&self) -> Tally {
        // Allocated before the lock is taken: a tally is half a megabyte, and the sending thread would wait meanwhile.
        let empty = Tally::default();
        std::mem::replace(&mut self.lock().tally, empty)
    }

    /// The longest stall of the run, which has ended: orders that are still in flight stall it until now.
    pub fn longest_stall(&self) -> Option<Stall> {
        let mut state = self.lock();
        if !state.in_flight.is_empty() {
            let now = self.clock.now();
            state.stalls.end(now);
        }
        state.stalls.longest()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enqueues the order by `send`, which passes the token on with the record. A refused order is counted as failed.
    ///
    /// # Errors
    /// When librdkafka refuses the order for another reason than a full queue.
    pub fn enqueue(
        &self,
        order: Order,
        corruption: Option<Corruption>,
        send: impl FnOnce(DeliveryToken) -> Result<(), KafkaError>,
    ) -> Result<EnqueueOutcome, KafkaError> {
        // The lock is held while sending. This cannot deadlock: delivery reports arrive on this thread, inside of
        // `poll` only.
        let mut state = self.lock();
        let State { tally, stalls, in_flight, .. } = &mut *state;
        let is_first = in_flight.is_empty();
        let vacant = in_flight.vacant_entry();
        let sent = send(DeliveryToken(vacant.key()));
        if let Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) = sent {
            tally.queue_full(self.phase(order.due));
            return Ok(EnqueueOutcome::QueueFull);
        }
        let (now, phase) = (self.clock.now(), self.phase(order.due));
        tally.enqueued(now - order.due as i64, phase);
        if corruption.is_some() {
            tally.invalid(order.number, phase);
        }
        match sent {
            Ok(()) => {
                vacant.insert(InFlight { order, enqueued: now });
                if is_first {
                    stalls.first_in_flight(now);
                }
                Ok(EnqueueOutcome::Enqueued(now))
            }
            Err(error) => {
                tally.failed(order.number, &error, phase);
                self.export_failed(order, now, now, &error);
                Err(error)
            }
        }
    }

    /// Calls `poll`, which must not block, until it delivers no further report. The reports of one call were ready when
    /// it began, so they share one reading of the clock: one reading per order would take a tenth of the sending
    /// thread's time.
    pub fn poll_deliveries(&self, poll: impl Fn()) {
        loop {
            let before = {
                let mut state = self.lock();
                state.polling_since = Some(self.clock.now());
                state.in_flight.len()
            };
            poll();
            let mut state = self.lock();
            state.polling_since = None;
            if state.in_flight.len() == before {
                return;
            }
        }
    }

    /// Counts an enqueued order as failed: it was not passed to librdkafka, or librdkafka refused it.
    pub fn fail(&self, token: DeliveryToken, error: &KafkaError) {
        let mut state = self.lock();
        let now = self.clock.now();
        let InFlight { order, enqueued } = state.in_flight.remove(token.0);
        state.tally.failed(order.number, error, self.phase(order.due));
        self.export_failed(order, enqueued, now, error);
        state.end_stall_without_orders(now);
    }

    fn complete(&self, token: DeliveryToken, result: &DeliveryResult<'_>) {
        let mut state = self.lock();
        let now = state.polling_since.unwrap_or_else(|| self.clock.now());
        let InFlight { order, enqueued } = state.in_flight.remove(token.0);
        let phase = self.phase(order.due);
        match result {
            Ok(message) if has_offset(message) => {
                state.stalls.acknowledged(now);
                state.tally.acknowledged(order.number, order.due as i64, enqueued, now, phase);
                if let Some(spans) = &self.spans {
                    let (partition, offset) = (message.partition(), message.offset());
                    spans.export(order, enqueued, now, SpanOutcome::Acknowledged { partition, offset });
                }
                return;
            }
            Ok(message) => {
                tracing::debug!(key = ?message.key_view::<str>(), "an order was not acknowledged itself");
                state.tally.unknown(IMPLICIT_ACKNOWLEDGEMENT);
                if let Some(spans) = &self.spans {
                    spans.export(order, enqueued, now, SpanOutcome::NotAcknowledged(IMPLICIT_ACKNOWLEDGEMENT));
                }
            }
            Err((error, message)) => {
                tracing::debug!(%error, key = ?message.key_view::<str>(), "an order was not acknowledged");
                if is_certainly_not_persisted(message) {
                    state.tally.failed(order.number, error, phase);
                } else {
                    state.tally.unknown(&error_name(error));
                }
                self.export_failed(order, enqueued, now, error);
            }
        }
        state.end_stall_without_orders(now);
    }

    fn export_failed(&self, order: Order, enqueued: i64, now: i64, error: &KafkaError) {
        if let Some(spans) = &self.spans {
            spans.export(order, enqueued, now, SpanOutcome::NotAcknowledged(&error_name(error)));
        }
    }

    fn phase(&self, due: u64) -> Phase {
        if due < self.warm_up_nanos { Phase::WarmUp } else { Phase::Measured }
    }
}

/// Whether the brokers have told the offset of the order. Without it, librdkafka has concluded from the acknowledgement
/// of a later order that this one is in the log. It may not be, see [`super::partition_queue`].
fn has_offset(message: &BorrowedMessage<'_>) -> bool {
    message.offset() >= 0
}

/// The name under which such an order is counted.
const IMPLICIT_ACKNOWLEDGEMENT: &str = "ImplicitAcknowledgement";

/// Whether librdkafka reports that the order is not in the log. After any other error it may be there: a timeout may
/// concern the acknowledgement only, and a record that is purged from the queue may have been sent before.
#[allow(unsafe_code, reason = "rust-rdkafka does not expose rd_kafka_message_status")]
fn is_certainly_not_persisted(message: &BorrowedMessage<'_>) -> bool {
    // SAFETY: the message belongs to the event of this delivery report, which `message` borrows from; it is only read.
    let status = unsafe { rd_kafka_message_status(message.ptr()) };
    status == rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_NOT_PERSISTED
}

/// Receives the client's callbacks. librdkafka calls them inside of `poll`, on the sending thread.
pub struct DeliveryContext {
    pub tracker: Arc<DeliveryTracker>,
    pub client_orders: ClientOrders,
    /// Receives librdkafka's statistics as JSON.
    pub statistics: watch::Sender<Vec<u8>>,
}

impl ClientContext for DeliveryContext {
    fn stats_raw(&self, statistics: &[u8]) {
        self.statistics.send_replace(statistics.to_owned());
    }
}

impl ProducerContext for DeliveryContext {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, token: usize) {
        let (Ok(message) | Err((_, message))) = result;
        self.client_orders.completed(message.partition(), result.is_ok() && has_offset(message));
        self.tracker.complete(DeliveryToken(token), result);
    }
}
