//! Sends rejected records to the dead-letter topic, unchanged, with headers for their position and the reason.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use chrono::Utc;
use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use shared::{
    dlq_headers,
    kafka::{KafkaSettings, TopicSettings},
};

use super::limiter::{DeadLetterLimiter, Decision};
use crate::{
    health::{ConsumerHealth, ConsumerIssue},
    model::{KafkaRecord, RejectReason},
    retry_scope::{Cancelled, RetryScope},
};

/// Timeout of one attempt.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum characters of the header with the reason.
const MAX_MESSAGE_CHARS: usize = 1_000;
/// Interval at which a record over the limit checks whether an operator has accepted its kind.
const ACCEPT_CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// Stores rejected records.
pub trait DeadLetterSink: Send + Sync {
    /// Counts processed records, including those that will be sent here.
    fn observe(&self, records: usize);

    /// Sends a record and returns once it is acknowledged.
    ///
    /// # Errors
    /// [`Cancelled`] when `scope` ends first.
    fn send(
        &self,
        record: &KafkaRecord,
        reason: &RejectReason,
        scope: &mut RetryScope<'_>,
    ) -> impl Future<Output = Result<(), Cancelled>> + Send;
}

/// The producer of dead letters, with the limit of each kind.
pub struct DeadLetterTopic {
    producer: FutureProducer,
    source_topic: String,
    topic: String,
    instance: String,
    limiter: Arc<DeadLetterLimiter>,
    health: Arc<ConsumerHealth>,
}

impl DeadLetterTopic {
    /// Opens the topic, which must exist.
    ///
    /// # Errors
    /// When a Kafka setting is wrong.
    pub fn open(
        kafka: &KafkaSettings,
        topic: &TopicSettings,
        instance: String,
        limiter: Arc<DeadLetterLimiter>,
        health: Arc<ConsumerHealth>,
    ) -> anyhow::Result<Self> {
        let role = [
            ("acks", "all"),
            ("enable.idempotence", "true"),
            ("compression.type", "lz4"),
            ("linger.ms", "5"),
            ("message.max.bytes", "4000000"),
        ];
        let producer = kafka.client(&role).create().context("the Kafka settings are not usable")?;
        let (source_topic, topic) = (topic.topic.clone(), topic.dead_letter_topic());
        Ok(Self { producer, source_topic, topic, instance, limiter, health })
    }

    /// Returns once the limiter allows a dead letter of this kind.
    async fn wait_for_limiter(&self, kind: &'static str, scope: &mut RetryScope<'_>) -> Result<(), Cancelled> {
        let mut was_over_limit = false;
        while let Decision::OverLimit { dead_letters } = self.limiter.decide(kind, Instant::now()) {
            was_over_limit = true;
            scope.check()?;
            let message = format!(
                "dead-letter limit reached: {dead_letters} orders of kind {kind}. Dead-lettering is stopped. Check \
                 that this is the right database, that it is seeded, and that producers and consumers have the same \
                 version. To accept the kind: kill -USR1 {}. To stop without dead-lettering: Ctrl-C",
                std::process::id()
            );
            scope.report(&self.health, ConsumerIssue::DeadLetterLimit, message);
            scope.run(tokio::time::sleep(ACCEPT_CHECK_INTERVAL)).await?;
        }
        if was_over_limit {
            self.health.resolve(ConsumerIssue::DeadLetterLimit);
        }
        Ok(())
    }

    fn dead_letter<'a>(
        &'a self,
        record: &'a KafkaRecord,
        reason: &RejectReason,
        form: Form,
    ) -> FutureRecord<'a, [u8], [u8]> {
        let original = if form == Form::Whole { record.headers() } else { OwnedHeaders::new() };
        let mut dead_letter = FutureRecord::to(&self.topic).headers(self.add_headers(original, record, reason));
        dead_letter.key = record.key();
        dead_letter.payload = record.value().filter(|_| form != Form::WithoutValue);
        dead_letter.timestamp = record.timestamp;
        dead_letter
    }

    fn add_headers(&self, original: OwnedHeaders, record: &KafkaRecord, reason: &RejectReason) -> OwnedHeaders {
        let timestamp = record.timestamp.map_or_else(String::new, |millis| millis.to_string());
        let sqlstate = match reason {
            RejectReason::RefusedByTable(error) => error.sqlstate().unwrap_or_default(),
            _ => "",
        };
        // The message may contain a value of the record of any length.
        let message: String = reason.to_string().chars().take(MAX_MESSAGE_CHARS).collect();
        let described = [
            (dlq_headers::TOPIC, self.source_topic.as_str()),
            (dlq_headers::PARTITION, &record.position.partition.to_string()),
            (dlq_headers::OFFSET, &record.position.offset.to_string()),
            (dlq_headers::TIMESTAMP, &timestamp),
            (dlq_headers::KIND, reason.kind()),
            (dlq_headers::MESSAGE, &message),
            (dlq_headers::SQLSTATE, sqlstate),
            (dlq_headers::AT, &Utc::now().to_rfc3339()),
            (dlq_headers::INSTANCE, &self.instance),
        ];
        let add =
            |headers: OwnedHeaders, (key, value): &(&str, &str)| headers.insert(Header { key, value: Some(*value) });
        described.iter().fold(original, add)
    }
}

impl DeadLetterSink for DeadLetterTopic {
    fn observe(&self, records: usize) {
        self.limiter.observe(records as u64, Instant::now());
    }

    /// Retries until the brokers acknowledge. A dead letter that is too large is sent without the headers of the
    /// record, and if it is still too large, without its value: its own headers have the position of the original.
    async fn send(
        &self,
        record: &KafkaRecord,
        reason: &RejectReason,
        scope: &mut RetryScope<'_>,
    ) -> Result<(), Cancelled> {
        self.wait_for_limiter(reason.kind(), scope).await?;
        let mut form = Form::Whole;
        loop {
            scope.check()?;
            let sending = self.producer.send(self.dead_letter(record, reason, form), Timeout::After(SEND_TIMEOUT));
            match scope.run(sending).await?.map_err(|(error, _)| error) {
                Ok(_) => {
                    self.health.resolve(ConsumerIssue::DeadLetterTopic);
                    return Ok(());
                }
                Err(error) if is_too_large(&error) && form != Form::WithoutValue => {
                    form = if form == Form::Whole { Form::WithoutHeaders } else { Form::WithoutValue };
                }
                Err(error) => {
                    let message =
                        format!("dead-letter topic: a record is not acknowledged: {error}; retrying until it is");
                    scope.report(&self.health, ConsumerIssue::DeadLetterTopic, message);
                    scope.back_off().await;
                }
            }
        }
    }
}

/// The parts of the record that a dead letter has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Whole,
    WithoutHeaders,
    WithoutValue,
}

fn is_too_large(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge)
}
