//! Matches delivery reports with the records in flight: orders, and changes of them. One is counted as acknowledged by
//! its delivery report and by nothing else (invariant 1).

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rdkafka::{
    ClientContext, Message,
    error::{KafkaError, RDKafkaErrorCode},
    message::DeliveryResult,
    producer::ProducerContext,
};
use shared::order::PlacedStatus;
use slab::Slab;
use tokio::sync::watch;

use super::{
    change_tally::{ChangeTally, Schedule},
    client_orders::ClientOrders,
    delivery_report::{DeliveryReport, has_offset},
    silence::Silence,
    spans::{OrderSpans, SpanOutcome},
    stall::{Stall, StallWatch},
    tally::{Tally, error_name},
};
use crate::{
    clock::RunClock,
    generate::Corruption,
    lifecycle::{Histories, OrderChange},
    pace::{Order, Phase},
};

/// A record that is enqueued, without a delivery report yet. Small: there are up to 100,000 of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct InFlight {
    order: Order,
    event: Event,
    /// Nanoseconds after the start.
    enqueued: i64,
}

const _: () = assert!(size_of::<InFlight>() <= 32);

/// What the record tells about its order.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// It was placed with this status; `None` for one that is invalid on purpose.
    Placed(Option<PlacedStatus>),
    /// An [`OrderChange`], without its order.
    Changed { partition: i32, sequence: u8, placed: PlacedStatus },
}

impl InFlight {
    fn placed(order: Order, placed: Option<PlacedStatus>, enqueued: i64) -> Self {
        Self { order, event: Event::Placed(placed), enqueued }
    }

    pub(super) fn changed(change: OrderChange, enqueued: i64) -> Self {
        let OrderChange { order, partition, sequence, placed } = change;
        Self { order, event: Event::Changed { partition, sequence, placed }, enqueued }
    }
}

/// Identifies a record in flight: librdkafka keeps it with the record and returns it with the delivery report.
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

pub(super) struct State {
    pub(super) tally: Tally,
    stalls: StallWatch,
    /// Not larger than librdkafka's queue and those of the partitions.
    pub(super) in_flight: Slab<InFlight>,
    /// Those among them that are orders: only they stall the run.
    orders_in_flight: usize,
    /// When the current non-blocking poll began, in nanoseconds after the start.
    polling_since: Option<i64>,
    /// `None`: orders do not go on.
    pub(super) histories: Option<Histories>,
    pub(super) schedule: Schedule,
    pub(super) silence: Silence,
}

/// Tracks the records in flight. The sending thread writes it, the recorder reads it.
pub struct DeliveryTracker {
    pub(super) clock: RunClock,
    warm_up_nanos: u64,
    /// `None`: no order is traced.
    spans: Option<OrderSpans>,
    follows_orders: bool,
    state: Mutex<State>,
}

impl DeliveryTracker {
    /// `spans` exports those of sampled orders; `None` when no order is traced. `histories` goes on with acknowledged
    /// orders; `None` when none goes on.
    pub fn new(
        clock: RunClock,
        warm_up: Duration,
        spans: Option<OrderSpans>,
        histories: Option<Histories>,
    ) -> Arc<Self> {
        let warm_up_nanos = u64::try_from(warm_up.as_nanos()).unwrap_or(u64::MAX);
        let follows_orders = histories.is_some();
        let state = State {
            tally: Tally { changes: follows_orders.then(ChangeTally::default), ..Tally::default() },
            stalls: StallWatch::new(i64::try_from(warm_up_nanos).unwrap_or(i64::MAX)),
            in_flight: Slab::default(),
            orders_in_flight: 0,
            polling_since: None,
            histories,
            schedule: Schedule::default(),
            silence: Silence::default(),
        };
        Arc::new(Self { clock, warm_up_nanos, spans, follows_orders, state: Mutex::new(state) })
    }

    /// Returns the outcomes since the last call, and resets the tally.
    pub fn take_tally(&self) -> Tally {
        // Allocated before the lock is taken: a tally is half a megabyte, and the sending thread would wait meanwhile.
        let empty = Tally { changes: self.follows_orders.then(ChangeTally::default), ..Tally::default() };
        let mut state = self.lock();
        let mut tally = std::mem::replace(&mut state.tally, empty);
        if let (Some(histories), Some(changes)) = (&mut state.histories, &mut tally.changes) {
            changes.pending = histories.pending().len() as u64;
            changes.schedule = state.schedule;
        }
        tally
    }

    /// The longest stall of the run, which has ended: orders that are still in flight stall it until now.
    pub fn longest_stall(&self) -> Option<Stall> {
        let mut state = self.lock();
        if state.orders_in_flight > 0 {
            let now = self.clock.now();
            state.stalls.end(now);
        }
        state.stalls.longest()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enqueues the order by `send`, which passes the token on with the record. `placed` is its status, if it is valid.
    /// A refused order is counted as failed.
    ///
    /// # Errors
    /// When librdkafka refuses the order for another reason than a full queue.
    pub fn enqueue(
        &self,
        order: Order,
        placed: Option<PlacedStatus>,
        corruption: Option<Corruption>,
        send: impl FnOnce(DeliveryToken) -> Result<(), KafkaError>,
    ) -> Result<EnqueueOutcome, KafkaError> {
        // The lock is held while sending. This cannot deadlock: delivery reports arrive on this thread, inside of
        // `poll` only.
        let mut state = self.lock();
        let State { tally, stalls, in_flight, orders_in_flight, .. } = &mut *state;
        let vacant = in_flight.vacant_entry();
        let sent = send(DeliveryToken(vacant.key()));
        if is_queue_full(&sent) {
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
                vacant.insert(InFlight::placed(order, placed, now));
                if *orders_in_flight == 0 {
                    stalls.first_in_flight(now);
                }
                *orders_in_flight += 1;
                Ok(EnqueueOutcome::Enqueued(now))
            }
            Err(error) => {
                tally.failed(order.number, &error, phase);
                self.export_span(order, now, now, &DeliveryReport::Failed(&error));
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

    /// Counts an enqueued record as failed: it was not passed to librdkafka, or librdkafka refused it.
    pub fn fail(&self, token: DeliveryToken, error: &KafkaError) {
        let mut state = self.lock();
        let now = self.clock.now();
        self.complete(&mut state, token, now, &DeliveryReport::Failed(error));
    }

    fn complete(&self, state: &mut State, token: DeliveryToken, now: i64, report: &DeliveryReport<'_>) {
        let InFlight { order, event, enqueued } = state.in_flight.remove(token.0);
        if matches!(report, DeliveryReport::Acknowledged { .. }) {
            state.silence.begin(now);
        }
        match event {
            Event::Placed(placed) => {
                state.orders_in_flight -= 1;
                self.count_order(state, order, enqueued, now, report);
                self.export_span(order, enqueued, now, report);
                if let DeliveryReport::Acknowledged { partition, .. } = report {
                    state.go_on(order, placed, *partition);
                }
            }
            Event::Changed { partition, sequence, placed } => {
                let change = OrderChange { order, partition, sequence, placed };
                state.complete_change(change, now, self.phase(order.due), report);
            }
        }
    }

    fn count_order(&self, state: &mut State, order: Order, enqueued: i64, now: i64, report: &DeliveryReport<'_>) {
        let phase = self.phase(order.due);
        match report {
            DeliveryReport::Acknowledged { .. } => {
                state.stalls.acknowledged(now);
                state.tally.acknowledged(order.number, order.due as i64, enqueued, now, phase);
                return;
            }
            DeliveryReport::Failed(error) => state.tally.failed(order.number, error, phase),
            DeliveryReport::Unknown(error) => state.tally.unknown(error),
        }
        // If it was the last order in flight, nothing is waited for any more.
        if state.orders_in_flight == 0 {
            state.stalls.end(now);
        }
    }

    fn export_span(&self, order: Order, enqueued: i64, now: i64, report: &DeliveryReport<'_>) {
        let Some(spans) = &self.spans else { return };
        match report {
            DeliveryReport::Acknowledged { partition, offset } => {
                let outcome = SpanOutcome::Acknowledged { partition: *partition, offset: *offset };
                spans.export(order, enqueued, now, outcome);
            }
            DeliveryReport::Failed(error) => {
                spans.export(order, enqueued, now, SpanOutcome::NotAcknowledged(&error_name(error)));
            }
            DeliveryReport::Unknown(error) => {
                spans.export(order, enqueued, now, SpanOutcome::NotAcknowledged(error));
            }
        }
    }

    pub(super) fn phase(&self, due: u64) -> Phase {
        if due < self.warm_up_nanos { Phase::WarmUp } else { Phase::Measured }
    }
}

pub(super) fn is_queue_full(sent: &Result<(), KafkaError>) -> bool {
    matches!(sent, Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)))
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
        let report = DeliveryReport::of(result);
        let mut state = self.tracker.lock();
        let now = state.polling_since.unwrap_or_else(|| self.tracker.clock.now());
        self.tracker.complete(&mut state, DeliveryToken(token), now, &report);
    }
}
