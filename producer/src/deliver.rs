//! What comes back: each order that was handed to librdkafka is told again when its acknowledgement arrives, and counted
//! then and only then (invariant 1).

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use chrono::{DateTime, Utc};
use rdkafka::{
    ClientConfig, ClientContext, Message,
    error::{KafkaError, RDKafkaErrorCode},
    message::DeliveryResult,
    producer::{BaseProducer, ProducerContext},
};
use shared::kafka::KafkaSettings;

use crate::{
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

/// What both the sending thread and whoever records and shows the run look at.
pub struct Delivery {
    start: Start,
    warm_up_nanos: u64,
    tally: Mutex<Tally>,
    /// The latest order's number, by which those that come back are told.
    latest: AtomicU64,
}

impl Delivery {
    /// Nothing sent yet.
    pub fn new(start: Start, warm_up: Duration) -> Arc<Self> {
        let warm_up_nanos = u64::try_from(warm_up.as_nanos()).unwrap_or(u64::MAX);
        Arc::new(Self { start, warm_up_nanos, tally: Mutex::default(), latest: AtomicU64::new(0) })
    }

    /// What happened since the last time that this was called.
    pub fn take(&self) -> Tally {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nanoseconds since the start, negative before it.
    pub fn now(&self) -> i64 {
        self.start.elapsed_nanos()
    }

    /// When the order is due, in nanoseconds after the Unix epoch.
    pub fn due_unix_nanos(&self, order: Order) -> u64 {
        self.start.unix_nanos() + order.due
    }

    /// The order is about to be handed over; what librdkafka is to carry for it.
    pub fn sending(&self, order: Order) -> usize {
        self.latest.store(order.number, Ordering::Relaxed);
        InFlight::of(order).0
    }

    /// The order was handed over.
    pub fn sent(&self, order: Order) {
        let late = self.now() - order.due as i64;
        self.lock().enqueued(late, self.part(order.due));
    }

    /// The client's queue took no more.
    pub fn queue_full(&self) {
        self.lock().queue_full += 1;
    }

    /// The client library refused the order for good.
    pub fn refused(&self, order: Order, error: &KafkaError) {
        self.sent(order);
        self.lock().refused(order.number, error, self.part(order.due));
    }

    /// Where an order's figures belong.
    fn part(&self, due: u64) -> Part {
        if due < self.warm_up_nanos { Part::WarmUp } else { Part::Measured }
    }
}

/// An order on its way, in the 64 bits that librdkafka carries for us: the low 28 bits of its number, and its due time in
/// microseconds, low 36 bits. No memory is taken an order, and the whole is found again as long as fewer than 2^28 orders
/// (eleven minutes at 400,000 a second) and 19 hours lie between an order's sending and its return, which the client's
/// delivery time-out of five minutes sees to.
#[derive(Clone, Copy)]
struct InFlight(usize);

impl InFlight {
    const NUMBER_BITS: u32 = 28;
    const DUE_BITS: u32 = 36;

    fn of(order: Order) -> Self {
        let due = (order.due / 1_000) & ((1 << Self::DUE_BITS) - 1);
        let number = order.number & ((1 << Self::NUMBER_BITS) - 1);
        Self(((due << Self::NUMBER_BITS) | number) as usize)
    }

    /// The order, known to be neither after `latest` nor due after `now`, in nanoseconds after the start.
    fn order(self, latest: u64, now: u64) -> Order {
        let behind = |low: u64, latest: u64, bits: u32| latest - (latest.wrapping_sub(low) & ((1 << bits) - 1));
        let bits = self.0 as u64;
        let number = behind(bits & ((1 << Self::NUMBER_BITS) - 1), latest, Self::NUMBER_BITS);
        let due = behind(bits >> Self::NUMBER_BITS, now / 1_000, Self::DUE_BITS) * 1_000;
        Order { number, due }
    }
}

/// Counts deliveries; called by librdkafka from within `poll`, on the sending thread.
pub struct DeliveryContext(Arc<Delivery>);

impl ClientContext for DeliveryContext {}

impl ProducerContext for DeliveryContext {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, in_flight: usize) {
        let now = self.0.start.elapsed_nanos();
        let latest = self.0.latest.load(Ordering::Relaxed);
        let order = InFlight(in_flight).order(latest, u64::try_from(now).unwrap_or_default());
        let part = self.0.part(order.due);
        let mut tally = self.0.lock();
        match result {
            Ok(_) => tally.acknowledged(order.number, now - order.due as i64, part),
            Err((error, message)) => {
                tracing::debug!(%error, key = ?message.key_view::<str>(), "an order was not acknowledged");
                tally.not_acknowledged(order.number, error, part);
            }
        }
    }
}

/// Whether librdkafka's error says that the order surely did not get into the log. Anything else may have got there: a
/// time-out may have hit the acknowledgement alone, and what is purged from the queue may have been sent once before.
pub fn is_surely_not_persisted(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::MessageSizeTooLarge
                | Code::InvalidMessage
                | Code::InvalidMessageSize
                | Code::InvalidRecord
                | Code::InvalidTopic
                | Code::InvalidTimestamp
                | Code::PolicyViolation
                | Code::TopicAuthorizationFailed
                | Code::UnknownTopic
                | Code::UnknownPartition
        )
    )
}

/// The client's settings: all acknowledgements, idempotent, lz4. With a schedule, 2 ms of linger keep both the latency and
/// the brokers' work low. Without one, 20 ms were measured at twice the throughput of 5 (50 and 100 gain nothing more), and
/// at a fortieth of the latency: with less, the brokers drown in small requests and the queue stays full.
pub fn client_config(kafka: &KafkaSettings, paced: bool) -> ClientConfig {
    kafka.client(&[
        ("acks", "all"),
        ("enable.idempotence", "true"),
        ("compression.type", "lz4"),
        ("linger.ms", if paced { "2" } else { "20" }),
        ("batch.size", "1000000"),
        ("batch.num.messages", "10000"),
        ("queue.buffering.max.messages", "100000"),
        ("queue.buffering.max.kbytes", "32768"),
    ])
}

/// Makes the client, which counts into `delivery`.
///
/// # Errors
/// When a setting is wrong.
pub fn client(
    kafka: &KafkaSettings,
    paced: bool,
    delivery: Arc<Delivery>,
) -> anyhow::Result<BaseProducer<DeliveryContext>> {
    let client = client_config(kafka, paced).create_with_context(DeliveryContext(delivery));
    client.context("the Kafka settings are not usable")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_order_on_its_way_is_found_again(
            latest in 0..1u64 << 38,
            behind in 0..1u64 << 28,
            now in 0..1_000_000_000_000_000u64,
            age in 0..60_000_000_000_000u64,
        ) {
            let order = Order { number: latest.saturating_sub(behind), due: now.saturating_sub(age) };
            let found = InFlight::of(order).order(latest, now);
            prop_assert_eq!(found, Order { due: order.due / 1_000 * 1_000, ..order });
        }
    }
}
