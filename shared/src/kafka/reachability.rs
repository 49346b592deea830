use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rdkafka::{
    ClientContext,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, DefaultProducerContext, Producer, ProducerContext},
};

use super::settings::{FIRST_ANSWER_TIMEOUT, KafkaSettings};

/// Timeout of one metadata request. Between two requests, the errors that librdkafka reports are read.
const METADATA_TIMEOUT: Duration = Duration::from_millis(500);

/// Upper bound of the events that librdkafka queues within one [`METADATA_TIMEOUT`].
const MAX_EVENTS_PER_POLL: usize = 1_000;

/// The last error that librdkafka reported by its callback. A failed call returns only a timeout. The cause, such as a
/// wrong password or an untrusted certificate, is reported by the callback alone.
#[derive(Default)]
struct LastError(Mutex<Option<(KafkaError, String)>>);

impl ClientContext for LastError {
    fn error(&self, error: KafkaError, reason: &str) {
        // `BROKER: REASON (after 5ms in state …, 3 identical error(s) suppressed)`
        let reason = reason.split_once(" (after ").map_or(reason, |(reason, _)| reason);
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // `AllBrokersDown` comes after an error of each broker, and those have the cause.
        if last.is_none() || error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            *last = Some((error, reason.to_owned()));
        }
    }
}

impl ProducerContext for LastError {
    type DeliveryOpaque = <DefaultProducerContext as ProducerContext>::DeliveryOpaque;

    fn delivery(&self, _: &rdkafka::message::DeliveryResult<'_>, (): Self::DeliveryOpaque) {}
}

impl KafkaSettings {
    /// Returns once a broker answers a metadata request. Blocks for up to 10 s.
    ///
    /// # Errors
    /// When no broker answers within 10 s, or as soon as a broker refuses the connection. The message has the cause.
    pub fn ensure_reachable(&self) -> anyhow::Result<()> {
        let client: BaseProducer<LastError> =
            self.client(&[]).create_with_context(LastError::default()).context("the Kafka settings are not usable")?;
        let deadline = Instant::now() + FIRST_ANSWER_TIMEOUT;
        loop {
            let Err(error) = client.client().fetch_metadata(None, METADATA_TIMEOUT) else { return Ok(()) };
            // Each poll handles one event, and the error may be behind others in the queue.
            (0..MAX_EVENTS_PER_POLL).for_each(|_| client.poll(Duration::ZERO));
            let last_error = client.context().0.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let refused = last_error.as_ref().is_some_and(|(error, reason)| is_refusal(error, reason));
            if refused || Instant::now() >= deadline {
                let cause = last_error.map_or_else(|| error.to_string(), |(_, reason)| reason);
                let (problem, advice) = if refused {
                    ("the Kafka cluster refuses the connection", "check user, password and certificates")
                } else {
                    (
                        "no Kafka broker answers",
                        "check that the cluster runs (deploy/stack up), KAFKA_BROKERS and --security-protocol",
                    )
                };
                bail!("{problem} at {}, {}: {advice}. Cause: {cause}", self.brokers, self.security);
            }
        }
    }
}

/// Returns whether a broker refused the connection, so that a retry does not help. A broker refuses a client
/// certificate by a TLS alert, which may arrive after the handshake: librdkafka then reports a lost connection. It may
/// report the same when it refuses the broker's certificate itself.
fn is_refusal(error: &KafkaError, reason: &str) -> bool {
    matches!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL))
        || reason.contains("SSL alert")
        || reason.contains("certificate verify failed")
}
