//! The sending thread: hands each order to librdkafka when it is due.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::bail;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, PurgeConfig};
use tokio_util::sync::CancellationToken;

use crate::{
    deliver::{Delivery, DeliveryContext, HandedOver},
    encode::Encoder,
    pace::{Next, Order, Pacer, Skipped},
    partition::Turns,
    report::HICCUP,
};

/// Sends between two looks at what was acknowledged; also how often a stop is noticed when the sender is behind.
const SENDS_A_POLL: u32 = 500;
/// Longest sleep, so that acknowledgements and a stop are noticed soon at any rate.
const LONGEST_WAIT: Duration = Duration::from_millis(10);
/// Between two looks at what came back, where there is nothing else to do.
const SHORT: Duration = Duration::from_millis(1);
/// How long the client may take to learn who leads the topic.
const INTRODUCTION: Duration = Duration::from_millis(150);
/// How long the reports of what was taken back are waited for; they come at once.
const PURGE_PATIENCE: Duration = Duration::from_secs(2);

/// Which orders are sent where.
pub struct Publisher {
    /// The client.
    pub producer: BaseProducer<DeliveryContext>,
    /// What is counted.
    pub delivery: Arc<Delivery>,
    /// When orders are due.
    pub pacer: Pacer,
    /// Makes them, one at a time.
    pub encoder: Encoder,
    /// Which partition is whose turn; none when the key decides.
    pub turns: Option<Turns>,
    /// The topic.
    pub topic: String,
    /// How long acknowledgements are waited for at the end.
    pub flush_timeout: Duration,
}

/// How the sending ended.
pub struct Sent {
    /// Orders that were too far behind to be caught up.
    pub skipped: Skipped,
    /// The schedule's length without the warm-up; none when there was no schedule.
    pub length: Option<Duration>,
    /// A fatal error of the client library, which ended it.
    pub fatal: Option<anyhow::Error>,
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
        self.meet_the_brokers();
        let mut waiting = None;
        let mut fatal = None;
        while !stop.is_cancelled() && fatal.is_none() {
            let then = self.send_due(&mut waiting);
            self.delivery.look(|| self.producer.poll(Duration::ZERO));
            match then {
                Ok(Then::Again) => {}
                Ok(Then::WaitUntil(due)) => self.wait_until(due),
                Ok(Then::End) => break,
                Err(error) => fatal = Some(error),
            }
        }
        if stop.is_cancelled() {
            self.leave_behind(waiting);
        }
        self.flush();
        let fatal = fatal.or_else(|| self.fail_if_fatal().err());
        Sent { skipped: self.pacer.skipped(), length: self.pacer.length(), fatal }
    }

    /// Has the client know the topic's leaders before the first order is due, which would have to wait for that. Whether it
    /// works out is not for this to say.
    fn meet_the_brokers(&self) {
        let left = u64::try_from(-self.delivery.now()).map_or(Duration::ZERO, Duration::from_nanos);
        let met = self.producer.client().fetch_metadata(Some(&self.topic), left.min(INTRODUCTION));
        tracing::debug!("the brokers were met: {}", met.is_ok());
    }

    /// Orders that a stop found overdue are skipped: the brokers or the machine held them up, and the figures must not hide
    /// it.
    fn leave_behind(&mut self, waiting: Option<Order>) {
        if !self.pacer.is_paced() {
            return;
        }
        let overdue = self.delivery.now() - HICCUP.as_nanos() as i64;
        if let Some(order) = waiting.filter(|order| (order.due as i64) < overdue) {
            self.pacer.skip(order);
        }
        while let Next::Send(order) = self.pacer.next(overdue) {
            self.pacer.skip(order);
        }
    }

    /// Sends what is due, at most [`SENDS_A_POLL`]; an order with a due time that found the client's queue full is `waiting`.
    fn send_due(&mut self, waiting: &mut Option<Order>) -> anyhow::Result<Then> {
        let mut now = self.delivery.now();
        for _ in 0..SENDS_A_POLL {
            let late = |order: &Order| self.pacer.is_too_late(*order, u64::try_from(now).unwrap_or_default());
            if let Some(order) = waiting.take_if(|order| late(order)) {
                self.pacer.skip(order);
            }
            let order = match waiting.take() {
                // Its encoded form is still there.
                Some(order) => order,
                None => match self.pacer.next(now) {
                    Next::Send(order) => {
                        self.encode(order, now)?;
                        order
                    }
                    Next::WaitUntil(due) => return Ok(Then::WaitUntil(due)),
                    Next::Over => return Ok(Then::End),
                },
            };
            match self.enqueue(order)? {
                Some(sent_at) => now = sent_at,
                None if self.pacer.is_paced() => {
                    *waiting = Some(order);
                    break;
                }
                None => {
                    self.pacer.give_back(order);
                    break;
                }
            }
        }
        Ok(Then::Again)
    }

    fn encode(&mut self, order: Order, now: i64) -> anyhow::Result<()> {
        if let Some(turns) = &mut self.turns {
            turns.take(order);
        }
        self.encoder.encode(order.number, self.delivery.due_unix_nanos(order), self.delivery.instant(now))
    }

    /// Hands the encoded order over and gives the time, in nanoseconds after the start; nothing when the client's queue is
    /// full, and the order has to wait.
    fn enqueue(&mut self, order: Order) -> anyhow::Result<Option<i64>> {
        let due_millis = self.delivery.due_unix_nanos(order) / 1_000_000;
        let handed_over = self.delivery.hand_over(order, self.encoder.flaw(), |ticket| {
            let mut record = BaseRecord::with_opaque_to(&self.topic, ticket.opaque())
                .key(self.encoder.key())
                .payload(self.encoder.value())
                .headers(self.encoder.headers())
                .timestamp(due_millis as i64);
            record.partition = self.turns.as_ref().map(Turns::partition);
            self.producer.send(record).map_err(|(error, _)| error)
        });
        match handed_over {
            Ok(HandedOver::At(now)) => Ok(Some(now)),
            Ok(HandedOver::QueueFull) => {
                std::thread::sleep(SHORT);
                Ok(None)
            }
            Err(_) => self.fail_if_fatal().map(|()| Some(self.delivery.now())),
        }
    }

    /// Sleeps until `due`, but not for long. The client's own wait is in whole milliseconds, and spins for the rest.
    fn wait_until(&self, due: u64) {
        let nanos = due as i64 - self.delivery.now();
        let Ok(wait) = u64::try_from(nanos).map(Duration::from_nanos) else { return };
        if wait > 2 * SHORT {
            let whole = (wait.min(LONGEST_WAIT) - SHORT).as_millis() as u64;
            self.producer.poll(Duration::from_millis(whole) + Duration::from_micros(50));
        } else {
            std::thread::sleep(wait);
        }
    }

    /// Waits for the acknowledgements. What the deadline leaves is taken back, and so told apart: what was never sent has
    /// failed, what was sent is unknown.
    fn flush(&self) {
        self.poll_until_empty(self.flush_timeout);
        if self.producer.in_flight_count() > 0 {
            self.producer.purge(PurgeConfig::default().queue().inflight());
            self.poll_until_empty(PURGE_PATIENCE);
        }
    }

    fn poll_until_empty(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        while self.producer.in_flight_count() > 0 && Instant::now() < deadline {
            std::thread::sleep(SHORT);
            self.delivery.look(|| self.producer.poll(Duration::ZERO));
        }
    }

    fn fail_if_fatal(&self) -> anyhow::Result<()> {
        match self.producer.client().fatal_error() {
            Some((code, reason)) => bail!("the Kafka client ended with a fatal error: {reason} ({code})"),
            None => Ok(()),
        }
    }
}
