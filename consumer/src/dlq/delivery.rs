//! The delivery of the dead letters of one batch: all of them are in flight at once.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use metrics::counter;
use rdkafka::{
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    producer::future_producer::DeliveryFuture,
};

use super::{
    client::{DeadLetterClients, implicit_acknowledgement, is_refusal},
    form::{DeadLetterWriter, Form},
    letter::{Attempt, DeadLetterOutcome, Letter},
    outage::BatchOutage,
};
use crate::{
    metrics::DEAD_LETTERS_REDUCED,
    model::{KafkaRecord, RecordPosition},
    retry_scope::{Cancelled, RetryScope},
};

/// Interval at which a wait for acknowledgements checks whether it is still needed.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);
/// Maximum characters of a key in a log line.
const MAX_KEY_CHARS: usize = 100;

pub struct Delivery {
    pub clients: DeadLetterClients,
    pub writer: DeadLetterWriter,
    /// Dead letters that are not acknowledged for this long are a health issue.
    pub report_after: Duration,
}

impl Delivery {
    /// Sends all letters that are open and allowed, and waits until each is acknowledged, refused, or handed back.
    /// Returns a message when some of them failed for another reason: they are to be retried as they are.
    ///
    /// # Errors
    /// [`Cancelled`] when `scope` ends first.
    pub async fn attempt(
        &self,
        letters: &mut [Letter<'_>],
        outage: &mut BatchOutage<'_>,
        scope: &mut RetryScope<'_>,
    ) -> Result<Option<String>, Cancelled> {
        let (mut deliveries, mut waiting, mut failure) = (FuturesUnordered::new(), HashSet::new(), None);
        for (at, letter) in letters.iter_mut().enumerate().filter(|(_, letter)| letter.is_open() && letter.is_allowed) {
            match self.enqueue(letter) {
                Ok(delivery) => {
                    waiting.insert(at);
                    deliveries.push(async move { (at, delivery.await) });
                }
                // The rest follows once these are acknowledged.
                Err(error) if is_queue_full(&error) && !waiting.is_empty() => break,
                Err(error) => failure = self.on_error(letter, error).or(failure),
            }
        }
        let mut report_at = Instant::now() + self.report_after;
        while !waiting.is_empty() {
            match scope.run(tokio::time::timeout(CHECK_INTERVAL, deliveries.next())).await? {
                Ok(Some((at, delivered))) => {
                    report_at = Instant::now() + self.report_after;
                    // A letter that was handed back is not waited for any more.
                    if waiting.remove(&at) {
                        let error = match delivered {
                            Ok(Ok(delivery)) => implicit_acknowledgement(&delivery),
                            Ok(Err((error, _))) => Some(error),
                            Err(_) => Some(KafkaError::Canceled),
                        };
                        failure = self.on_answer(&mut letters[at], error).or(failure);
                    }
                }
                Ok(None) => break,
                Err(_) => {
                    scope.check()?;
                    waiting.retain(|at| letters[*at].hand_back_if_revoked());
                    if Instant::now() >= report_at && !waiting.is_empty() {
                        report_at = Instant::now() + self.report_after;
                        outage.report(self.not_acknowledged(waiting.len()));
                    }
                }
            }
        }
        Ok(failure)
    }

    fn enqueue(&self, letter: &Letter<'_>) -> KafkaResult<DeliveryFuture> {
        let client = match letter.attempt {
            Attempt::Batched => &self.clients.batching,
            Attempt::Single(_) => &self.clients.single,
        };
        let record = &letter.rejected.in_flight.record;
        let written = self.writer.write(record, letter.rejected.reason, letter.attempt.form());
        client.get()?.send_result(written.record()).map_err(|(error, _)| error)
    }

    /// Ends an acknowledged letter. Returns a message when `error` is not a refusal.
    fn on_answer(&self, letter: &mut Letter<'_>, error: Option<KafkaError>) -> Option<String> {
        if let Some(error) = error {
            return self.on_error(letter, error);
        }
        letter.outcome = Some(DeadLetterOutcome::Acknowledged);
        self.report_reduced(letter);
        None
    }

    fn on_error(&self, letter: &mut Letter<'_>, error: KafkaError) -> Option<String> {
        let topic = &self.writer.topic;
        if !is_refusal(&error) {
            let message = format!("dead-letter topic {topic}: records are not acknowledged: {error}");
            return Some(format!("{message}; retrying until they are"));
        }
        let message = format!(
            "dead-letter topic {topic}: it refuses the dead letter of {} in every form: {error}; retrying until it is \
             accepted. Check max.message.bytes, message.timestamp.after.max.ms and cleanup.policy of the topic, and \
             the clock of this machine",
            self.place(letter)
        );
        (!letter.refuse(error)).then_some(message)
    }

    fn not_acknowledged(&self, letters: usize) -> String {
        let (topic, after) = (&self.writer.topic, self.report_after);
        format!(
            "dead-letter topic {topic}: records are not acknowledged: no answer about {letters} of them for {after:?}; \
             retrying until they are. Check that each partition has a leader and min.insync.replicas replicas in sync"
        )
    }

    /// The place of the record of a letter, for a message.
    fn place(&self, letter: &Letter<'_>) -> String {
        let record = &letter.rejected.in_flight.record;
        format!("{} {} (key {:?})", self.writer.source_topic, record.position, key_text(record))
    }

    /// Reports a dead letter that lacks a part of its record.
    fn report_reduced(&self, letter: &Letter<'_>) {
        let topic = &self.writer.topic;
        let record = &letter.rejected.in_flight.record;
        let (RecordPosition { partition, offset }, key) = (record.position, key_text(record));
        let key = key.as_str();
        let refusal = letter.refusal.as_ref().map(ToString::to_string).unwrap_or_default();
        match letter.attempt.form() {
            Form::Whole => {}
            Form::WithoutHeaders => {
                tracing::warn!(
                    partition,
                    offset,
                    key,
                    "dead letter: its headers are left out, since {topic} refuses them: {refusal}"
                );
                counter!(DEAD_LETTERS_REDUCED, "part" => "headers").increment(1);
            }
            Form::Reference => {
                tracing::error!(
                    partition,
                    offset,
                    key,
                    "dead letter: its value is replaced by its SHA-256, since {topic} refuses it: {refusal}. Copy the \
                     record before the retention of its topic removes it"
                );
                counter!(DEAD_LETTERS_REDUCED, "part" => "value").increment(1);
            }
        }
    }
}

/// The beginning of the key.
fn key_text(record: &KafkaRecord) -> String {
    String::from_utf8_lossy(record.key().unwrap_or_default()).chars().take(MAX_KEY_CHARS).collect()
}

fn is_queue_full(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull)
}
