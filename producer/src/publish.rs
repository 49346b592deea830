//! The sending thread: hands each order to librdkafka when it is due, and counts it when the brokers acknowledge it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use rand::{SeedableRng, rngs::StdRng};
use rdkafka::{
    ClientConfig, ClientContext, Message,
    error::{KafkaError, RDKafkaErrorCode},
    message::{DeliveryResult, Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer, ProducerContext},
};
use shared::{
    kafka::KafkaSettings,
    order_id::{OrderId, RunTag, Sequence},
    wire::{self, EVENT_TYPE_HEADER, ORDER_PLACED_V1},
};
use tokio_util::sync::CancellationToken;

use crate::{
    generate::Generator,
    pace::{Next, Order, Pacer},
    record::{Part, Tally},
    report::HICCUP,
    sample::Samples,
};

/// Sends between two looks at what was acknowledged; also how often a stop is noticed when the sender is behind.
const SENDS_A_POLL: u32 = 500;
/// Longest sleep, so that acknowledgements and a stop are noticed soon at any rate.
const LONGEST_WAIT: Duration = Duration::from_millis(10);

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

/// Which orders are sent where.
pub struct Publisher {
    /// The client.
    pub producer: BaseProducer<DeliveryContext>,
    /// What is counted.
    pub delivery: Arc<Delivery>,
    /// When orders are due.
    pub pacer: Pacer,
    /// Users and products.
    pub samples: Samples,
    /// The topic.
    pub topic: String,
    /// Marks the orders.
    pub tag: RunTag,
    /// Decides the figures of the orders.
    pub seed: u64,
    /// How long acknowledgements are waited for at the end.
    pub flush_timeout: Duration,
}

/// How the sending ended.
pub struct Sent {
    /// Orders that were too far behind to be caught up.
    pub skipped: u64,
    /// The schedule's length without the warm-up; none when there was no schedule.
    pub length: Option<Duration>,
    /// A fatal error of the client library, which ended it.
    pub fatal: Option<anyhow::Error>,
}

/// Buffers that are used for every order again.
struct Encoder {
    generator: Generator<StdRng>,
    key: [u8; OrderId::TEXT_LEN],
    value: Vec<u8>,
    headers: OwnedHeaders,
}

/// What the sending thread does after it has sent what was due.
enum Then {
    Again,
    WaitUntil(u64),
    End,
}

impl Publisher {
    /// Sends until the schedule is over or `stop` is cancelled, then waits for the acknowledgements. Blocks; runs on a
    /// thread of its own. What the client library still holds when the deadline of the flush is over is counted before
    /// this returns.
    pub fn run(mut self, stop: &CancellationToken) -> Sent {
        let mut encoder = Encoder {
            generator: Generator::new(StdRng::seed_from_u64(self.seed)),
            key: [0; OrderId::TEXT_LEN],
            value: Vec::with_capacity(512),
            headers: OwnedHeaders::new().insert(Header { key: EVENT_TYPE_HEADER, value: Some(ORDER_PLACED_V1) }),
        };
        let mut waiting = None;
        let mut fatal = None;
        while !stop.is_cancelled() && fatal.is_none() {
            let then = self.send_due(&mut waiting, &mut encoder);
            self.producer.poll(Duration::ZERO);
            match then {
                Ok(Then::Again) => {}
                Ok(Then::WaitUntil(due)) => self.wait_until(due),
                Ok(Then::End) => break,
                Err(error) => fatal = Some(error),
            }
        }
        let left = if stop.is_cancelled() { self.left_behind(waiting) } else { 0 };
        self.flush();
        let fatal = fatal.or_else(|| self.fail_if_fatal().err());
        Sent { skipped: self.pacer.skipped() + left, length: self.pacer.length(), fatal }
    }

    /// Orders that a stop found overdue: the brokers or the machine held them up, and the figures must not hide it.
    fn left_behind(&mut self, waiting: Option<Order>) -> u64 {
        if !self.pacer.is_paced() {
            return 0;
        }
        let overdue = self.delivery.start.elapsed_nanos() - HICCUP.as_nanos() as i64;
        let mut left = u64::from(waiting.is_some_and(|order| (order.due as i64) < overdue));
        while let Next::Send(_) = self.pacer.next(overdue) {
            left += 1;
        }
        left
    }

    /// Sends what is due, at most [`SENDS_A_POLL`]; an order that found the client's queue full is `waiting`.
    fn send_due(&mut self, waiting: &mut Option<Order>, encoder: &mut Encoder) -> anyhow::Result<Then> {
        for _ in 0..SENDS_A_POLL {
            let now = self.delivery.start.elapsed_nanos();
            let order = match waiting.take() {
                // Without a schedule an order is due when it is taken.
                Some(order) if self.pacer.is_paced() => order,
                Some(order) => Order { due: u64::try_from(now).unwrap_or_default(), ..order },
                None => match self.pacer.next(now) {
                    Next::Send(order) => order,
                    Next::WaitUntil(due) => return Ok(Then::WaitUntil(due)),
                    Next::Over => return Ok(Then::End),
                },
            };
            self.encode(order, encoder)?;
            if !self.enqueue(order, encoder)? {
                *waiting = Some(order);
                break;
            }
        }
        Ok(Then::Again)
    }

    fn encode(&mut self, order: Order, encoder: &mut Encoder) -> anyhow::Result<()> {
        let due_nanos = self.delivery.start.unix_nanos() + order.due;
        let sequence = Sequence::new(order.number).context("the run has more orders than it can name")?;
        OrderId::new(due_nanos, self.tag, sequence).encode(&mut encoder.key);
        let created_at = DateTime::from_timestamp_micros((due_nanos / 1_000) as i64).unwrap_or_default();
        let (user, product) = self.samples.next(Instant::now());
        let event = encoder.generator.order(user, product, created_at);
        encoder.value.clear();
        wire::encode_value(&event, &mut encoder.value);
        Ok(())
    }

    /// Hands the encoded order over; false when the client's queue is full, and the order has to wait.
    fn enqueue(&mut self, order: Order, encoder: &Encoder) -> anyhow::Result<bool> {
        let due_millis = (self.delivery.start.unix_nanos() + order.due) / 1_000_000;
        self.delivery.latest.store(order.number, Ordering::Relaxed);
        let record = BaseRecord::with_opaque_to(&self.topic, InFlight::of(order).0)
            .key(&encoder.key)
            .payload(&encoder.value)
            .headers(encoder.headers.clone())
            .timestamp(due_millis as i64);
        let sent = self.producer.send(record).map_err(|(error, _)| error);
        let part = self.delivery.part(order.due);
        match sent {
            Ok(()) => {
                let late = self.delivery.start.elapsed_nanos() - order.due as i64;
                self.delivery.lock().enqueued(late, part);
                Ok(true)
            }
            Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) => {
                self.delivery.lock().queue_full += 1;
                self.producer.poll(Duration::from_millis(1));
                Ok(false)
            }
            Err(error) => {
                self.fail_if_fatal()?;
                let late = self.delivery.start.elapsed_nanos() - order.due as i64;
                let mut tally = self.delivery.lock();
                tally.enqueued(late, part);
                tally.refused(order.number, &error, part);
                Ok(true)
            }
        }
    }

    /// Sleeps until `due`, but not for long. librdkafka's own wait has a resolution of a millisecond.
    fn wait_until(&self, due: u64) {
        let nanos = due as i64 - self.delivery.start.elapsed_nanos();
        let Ok(wait) = u64::try_from(nanos).map(Duration::from_nanos) else { return };
        if wait > Duration::from_millis(2) {
            self.producer.poll(wait.min(LONGEST_WAIT) - Duration::from_millis(1));
        } else {
            std::thread::sleep(wait);
        }
    }

    fn flush(&self) {
        let deadline = Instant::now() + self.flush_timeout;
        while self.producer.in_flight_count() > 0 && Instant::now() < deadline {
            self.producer.poll(Duration::from_millis(1));
        }
    }

    fn fail_if_fatal(&self) -> anyhow::Result<()> {
        match self.producer.client().fatal_error() {
            Some((code, reason)) => bail!("the Kafka client ended with a fatal error: {reason} ({code})"),
            None => Ok(()),
        }
    }
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
