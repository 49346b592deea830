//! The sending thread: hands each order to librdkafka when it is due, and counts it when the brokers acknowledge it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use rand::{SeedableRng, rngs::StdRng};
use rdkafka::{
    ClientContext, Message,
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

use crate::{generate::Generator, pace::Rate, record::Tally, sample::Samples};

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
    rate: Rate,
    start: Start,
    tally: Mutex<Tally>,
}

impl Delivery {
    /// Nothing sent yet.
    pub fn new(rate: Rate, start: Start) -> Arc<Self> {
        Arc::new(Self { rate, start, tally: Mutex::default() })
    }

    /// What happened since the last time that this was called.
    pub fn take(&self) -> Tally {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lateness_nanos(&self, n: u64) -> i64 {
        self.start.elapsed_nanos() - self.rate.due_nanos(n) as i64
    }
}

/// Counts deliveries; called by librdkafka from within `poll`, on the sending thread.
pub struct DeliveryContext(Arc<Delivery>);

impl ClientContext for DeliveryContext {}

impl ProducerContext for DeliveryContext {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, sequence: usize) {
        let n = sequence as u64;
        let nanos = self.0.lateness_nanos(n);
        let mut tally = self.0.lock();
        match result {
            Ok(_) => tally.acknowledged(n, nanos),
            Err((error, message)) => {
                tracing::debug!(%error, key = ?message.key_view::<str>(), "an order was not acknowledged");
                tally.not_acknowledged(n, error);
            }
        }
    }
}

/// Whether librdkafka's error says that the order surely did not get into the log. Anything else may have got there: a
/// time-out, for one, may have hit the acknowledgement alone.
pub fn is_surely_not_persisted(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::MessageSizeTooLarge
                | Code::PurgeQueue
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

/// Makes the client: all acknowledgements, idempotent, lz4, and the batching of `MEASURED` figures: 2 ms of linger is
/// what keeps both the latency and the brokers' work low, batches of 1 MB what keeps the throughput high.
///
/// # Errors
/// When a setting is wrong.
pub fn client(kafka: &KafkaSettings, delivery: Arc<Delivery>) -> anyhow::Result<BaseProducer<DeliveryContext>> {
    let role = [
        ("acks", "all"),
        ("enable.idempotence", "true"),
        ("compression.type", "lz4"),
        ("linger.ms", "2"),
        ("batch.size", "1000000"),
        ("batch.num.messages", "10000"),
        ("queue.buffering.max.messages", "100000"),
        ("queue.buffering.max.kbytes", "32768"),
    ];
    kafka.client(&role).create_with_context(DeliveryContext(delivery)).context("the Kafka settings are not usable")
}

/// Which orders are sent where.
pub struct Publisher {
    /// The client.
    pub producer: BaseProducer<DeliveryContext>,
    /// What is counted.
    pub delivery: Arc<Delivery>,
    /// Users and products.
    pub samples: Samples,
    /// The topic.
    pub topic: String,
    /// Marks the orders.
    pub tag: RunTag,
    /// Number of orders to send.
    pub orders: u64,
    /// How long acknowledgements are waited for at the end.
    pub flush_timeout: Duration,
}

/// Buffers that are used for every order again.
struct Encoder {
    generator: Generator<StdRng>,
    key: [u8; OrderId::TEXT_LEN],
    value: Vec<u8>,
    headers: OwnedHeaders,
}

impl Publisher {
    /// Sends until all orders are sent or `stop` is cancelled, then waits for the acknowledgements. Blocks; runs on a
    /// thread of its own.
    ///
    /// # Errors
    /// When the client library ends with a fatal error. What it counted until then stands.
    pub fn run(mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut encoder = Encoder {
            generator: Generator::new(StdRng::from_rng(&mut rand::rng())),
            key: [0; OrderId::TEXT_LEN],
            value: Vec::with_capacity(512),
            headers: OwnedHeaders::new().insert(Header { key: EVENT_TYPE_HEADER, value: Some(ORDER_PLACED_V1) }),
        };
        let mut next = 0;
        let mut sent = Ok(());
        while next < self.orders && !stop.is_cancelled() && sent.is_ok() {
            sent = self.send_due(&mut next, &mut encoder);
            self.producer.poll(Duration::ZERO);
            self.wait_for(next);
        }
        self.flush();
        self.fail_if_fatal().and(sent)
    }

    /// Sends what is due, at most [`SENDS_A_POLL`].
    fn send_due(&mut self, next: &mut u64, encoder: &mut Encoder) -> anyhow::Result<()> {
        for _ in 0..SENDS_A_POLL {
            if *next >= self.orders || self.delivery.lateness_nanos(*next) < 0 {
                break;
            }
            self.encode(*next, encoder)?;
            if !self.enqueue(*next, encoder)? {
                break;
            }
            *next += 1;
        }
        Ok(())
    }

    fn encode(&mut self, n: u64, encoder: &mut Encoder) -> anyhow::Result<()> {
        let due_nanos = self.delivery.start.unix_nanos() + self.delivery.rate.due_nanos(n);
        let sequence = Sequence::new(n).context("the run has more orders than it can name")?;
        OrderId::new(due_nanos, self.tag, sequence).encode(&mut encoder.key);
        let created_at = DateTime::from_timestamp_micros((due_nanos / 1_000) as i64).unwrap_or_default();
        let (user, product) = self.samples.next(Instant::now());
        let order = encoder.generator.order(user, product, created_at);
        encoder.value.clear();
        wire::encode_value(&order, &mut encoder.value);
        Ok(())
    }

    /// Hands the encoded order over; false when the client's queue is full, and the order has to wait.
    fn enqueue(&mut self, n: u64, encoder: &Encoder) -> anyhow::Result<bool> {
        let due_millis = (self.delivery.start.unix_nanos() + self.delivery.rate.due_nanos(n)) / 1_000_000;
        let record = BaseRecord::with_opaque_to(&self.topic, n as usize)
            .key(&encoder.key)
            .payload(&encoder.value)
            .headers(encoder.headers.clone())
            .timestamp(due_millis as i64);
        match self.producer.send(record) {
            Ok(()) => {
                let nanos = self.delivery.lateness_nanos(n);
                self.delivery.lock().enqueued(nanos);
                Ok(true)
            }
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                self.delivery.lock().queue_full += 1;
                self.producer.poll(Duration::from_millis(1));
                Ok(false)
            }
            Err((error, _)) => {
                self.fail_if_fatal()?;
                let mut tally = self.delivery.lock();
                tally.enqueued(self.delivery.lateness_nanos(n));
                tally.refused(n, &error);
                Ok(true)
            }
        }
    }

    /// Sleeps until order `n` is due, but not for long. librdkafka's own wait has a resolution of a millisecond.
    fn wait_for(&self, n: u64) {
        let nanos = if n < self.orders { -self.delivery.lateness_nanos(n) } else { 0 };
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
