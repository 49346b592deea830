//! What comes back: each order that was handed to librdkafka is told again when its acknowledgement arrives, and counted
//! then and only then (invariant 1).

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use rdkafka::{
    ClientContext, Message,
    bindings::{rd_kafka_message_status, rd_kafka_msg_status_t},
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, DeliveryResult},
    producer::ProducerContext,
};
use slab::Slab;
use tokio::sync::watch;

use crate::{
    flaw::Flaw,
    pace::Order,
    record::{Part, Tally},
};

/// The run's time: the instant and the wall-clock time at which its first order is due.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// By the clock that never jumps.
    pub instant: Instant,
    /// By the calendar.
    pub at: DateTime<Utc>,
}

impl Start {
    fn unix_nanos(self) -> u64 {
        self.at.timestamp_nanos_opt().and_then(|nanos| u64::try_from(nanos).ok()).unwrap_or_default()
    }

    /// Nanoseconds since the start, negative before it.
    fn elapsed_nanos(self) -> i64 {
        let now = Instant::now();
        match now.checked_duration_since(self.instant) {
            Some(elapsed) => elapsed.as_nanos() as i64,
            None => -(self.instant.duration_since(now).as_nanos() as i64),
        }
    }
}

/// An order on its way: handed over, and not yet told again.
#[derive(Clone, Copy, Debug)]
struct OnItsWay {
    order: Order,
    /// When it was handed over, in nanoseconds after the start.
    enqueued: i64,
}

/// What librdkafka carries for us with an order, and gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(usize);

/// What became of an order that was to be handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandedOver {
    /// The client library has it since then, in nanoseconds after the start.
    At(i64),
    /// The client library's queue takes no more.
    QueueFull,
}

#[derive(Default)]
struct State {
    tally: Tally,
    /// At most as many as librdkafka's queue takes.
    on_their_way: Slab<OnItsWay>,
    /// When the look at what came back began, while there is one that does not wait.
    looking_since: Option<i64>,
}

/// What both the sending thread and whoever records and shows the run look at.
pub struct Delivery {
    start: Start,
    warm_up_nanos: u64,
    state: Mutex<State>,
}

impl Delivery {
    /// Nothing sent yet.
    pub fn new(start: Start, warm_up: Duration) -> Arc<Self> {
        let warm_up_nanos = u64::try_from(warm_up.as_nanos()).unwrap_or(u64::MAX);
        Arc::new(Self { start, warm_up_nanos, state: Mutex::default() })
    }

    /// What happened since the last time that this was called.
    pub fn take(&self) -> Tally {
        // Made before the lock is taken: it is half a megabyte, and the sending thread would wait for it.
        let empty = Tally::default();
        std::mem::replace(&mut self.lock().tally, empty)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nanoseconds since the start, negative before it.
    pub fn now(&self) -> i64 {
        self.start.elapsed_nanos()
    }

    /// The instant so many nanoseconds after the start.
    pub fn instant(&self, now: i64) -> Instant {
        let since = Duration::from_nanos(now.unsigned_abs());
        if now >= 0 { self.start.instant + since } else { self.start.instant - since }
    }

    /// When the order is due, in nanoseconds after the Unix epoch.
    pub fn due_unix_nanos(&self, order: Order) -> u64 {
        self.start.unix_nanos() + order.due
    }

    /// Hands the order over by `send`, which gets the ticket that librdkafka is to carry. What it refuses for good is counted.
    ///
    /// # Errors
    /// When the client library refuses the order.
    pub fn hand_over(
        &self,
        order: Order,
        flaw: Option<Flaw>,
        send: impl FnOnce(Ticket) -> Result<(), KafkaError>,
    ) -> Result<HandedOver, KafkaError> {
        // Held while sending: what comes back is told on this thread, and only when it asks.
        let mut state = self.lock();
        let State { tally, on_their_way, .. } = &mut *state;
        let place = on_their_way.vacant_entry();
        let sent = send(Ticket(place.key()));
        if let Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) = sent {
            tally.queue_full(self.part(order.due));
            return Ok(HandedOver::QueueFull);
        }
        let (now, part) = (self.now(), self.part(order.due));
        tally.enqueued(now - order.due as i64, part);
        if flaw.is_some() {
            tally.invalid(order.number, part);
        }
        match sent {
            Ok(()) => {
                place.insert(OnItsWay { order, enqueued: now });
                Ok(HandedOver::At(now))
            }
            Err(error) => {
                tally.failed(order.number, &error, part);
                Err(error)
            }
        }
    }

    /// Runs `look`, which takes some of what came back and does not wait, until nothing more came. What it takes was there when
    /// it began: one look at the clock will do, where one for each order would be a tenth of the sending thread's work.
    pub fn look(&self, look: impl Fn()) {
        loop {
            let before = {
                let mut state = self.lock();
                state.looking_since = Some(self.now());
                state.on_their_way.len()
            };
            look();
            let mut state = self.lock();
            state.looking_since = None;
            if state.on_their_way.len() == before {
                return;
            }
        }
    }

    /// The order came back.
    fn returned(&self, ticket: Ticket, result: &DeliveryResult<'_>) {
        let mut state = self.lock();
        let now = state.looking_since.unwrap_or_else(|| self.now());
        let OnItsWay { order, enqueued } = state.on_their_way.remove(ticket.0);
        let part = self.part(order.due);
        match result {
            Ok(_) => state.tally.acknowledged(order.number, order.due as i64, enqueued, now, part),
            Err((error, message)) => {
                tracing::debug!(%error, key = ?message.key_view::<str>(), "an order was not acknowledged");
                if is_surely_not_persisted(message) {
                    state.tally.failed(order.number, error, part);
                } else {
                    state.tally.unknown(error);
                }
            }
        }
    }

    /// Where an order's figures belong.
    fn part(&self, due: u64) -> Part {
        if due < self.warm_up_nanos { Part::WarmUp } else { Part::Measured }
    }
}

/// Whether librdkafka knows that the order did not get into the log. Anything else may have got there: a time-out may have
/// hit the acknowledgement alone, and what is purged from the queue may have been sent once before.
#[allow(unsafe_code, reason = "the client's Rust interface lacks this one question")]
fn is_surely_not_persisted(message: &BorrowedMessage<'_>) -> bool {
    // SAFETY: the message belongs to the event of this delivery report, which `message` borrows from; it is only read.
    let status = unsafe { rd_kafka_message_status(message.ptr()) };
    status == rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_NOT_PERSISTED
}

/// Counts deliveries; called by librdkafka from within `poll`, on the sending thread.
pub struct DeliveryContext {
    /// What counts.
    pub delivery: Arc<Delivery>,
    /// Who is told the client's statistics, as JSON.
    pub statistics: watch::Sender<Vec<u8>>,
}

impl ClientContext for DeliveryContext {
    fn stats_raw(&self, statistics: &[u8]) {
        self.statistics.send_replace(statistics.to_owned());
    }
}

impl ProducerContext for DeliveryContext {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: usize) {
        self.delivery.returned(Ticket(ticket), result);
    }
}

impl Ticket {
    /// As librdkafka carries it.
    pub fn opaque(self) -> usize {
        self.0
    }
}
