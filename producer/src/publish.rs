//! The sending thread: hands each order to librdkafka when it is due.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use chrono::DateTime;
use rand::{SeedableRng, rngs::StdRng};
use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer},
};
use shared::{
    order_id::{OrderId, RunTag, Sequence},
    wire::{self, EVENT_TYPE_HEADER, ORDER_PLACED_V1},
};
use tokio_util::sync::CancellationToken;

use crate::{
    deliver::{Delivery, DeliveryContext},
    generate::Generator,
    pace::{Next, Order, Pacer},
    report::HICCUP,
    sample::Samples,
};

/// Sends between two looks at what was acknowledged; also how often a stop is noticed when the sender is behind.
const SENDS_A_POLL: u32 = 500;
/// Longest sleep, so that acknowledgements and a stop are noticed soon at any rate.
const LONGEST_WAIT: Duration = Duration::from_millis(10);

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
        let overdue = self.delivery.now() - HICCUP.as_nanos() as i64;
        let mut left = u64::from(waiting.is_some_and(|order| (order.due as i64) < overdue));
        while let Next::Send(_) = self.pacer.next(overdue) {
            left += 1;
        }
        left
    }

    /// Sends what is due, at most [`SENDS_A_POLL`]; an order that found the client's queue full is `waiting`.
    fn send_due(&mut self, waiting: &mut Option<Order>, encoder: &mut Encoder) -> anyhow::Result<Then> {
        for _ in 0..SENDS_A_POLL {
            let now = self.delivery.now();
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
        let due_nanos = self.delivery.due_unix_nanos(order);
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
        let due_millis = (self.delivery.due_unix_nanos(order)) / 1_000_000;
        let record = BaseRecord::with_opaque_to(&self.topic, self.delivery.sending(order))
            .key(&encoder.key)
            .payload(&encoder.value)
            .headers(encoder.headers.clone())
            .timestamp(due_millis as i64);
        let sent = self.producer.send(record).map_err(|(error, _)| error);
        match sent {
            Ok(()) => {
                self.delivery.sent(order);
                Ok(true)
            }
            Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) => {
                self.delivery.queue_full();
                self.producer.poll(Duration::from_millis(1));
                Ok(false)
            }
            Err(error) => {
                self.fail_if_fatal()?;
                self.delivery.refused(order, &error);
                Ok(true)
            }
        }
    }

    /// Sleeps until `due`, but not for long. librdkafka's own wait has a resolution of a millisecond.
    fn wait_until(&self, due: u64) {
        let nanos = due as i64 - self.delivery.now();
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
