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

/// How long each try waits for an answer.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// More events than the client library has within that time.
const MAX_EVENTS_PER_POLL: usize = 1_000;

/// The last error that the client library reported by its callback. A call returns only that no broker answered in time; the
/// cause (a wrong password, an untrusted certificate) comes by the callback alone.
#[derive(Default)]
struct LastError(Mutex<Option<(KafkaError, String)>>);

impl ClientContext for LastError {
    fn error(&self, error: KafkaError, reason: &str) {
        // `WHERE: what and why (after 5ms in state …, 3 identical error(s) suppressed)`
        let reason = reason.split_once(" (after ").map_or(reason, |(told, _)| told);
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // `AllBrokersDown` follows from an error of each broker, which says more.
        if heard.is_none() || error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            *heard = Some((error, reason.to_owned()));
        }
    }
}

impl ProducerContext for LastError {
    type DeliveryOpaque = <DefaultProducerContext as ProducerContext>::DeliveryOpaque;

    fn delivery(&self, _: &rdkafka::message::DeliveryResult<'_>, (): Self::DeliveryOpaque) {}
}

impl KafkaSettings {
    /// Returns once a broker answers. Blocks.
    ///
    /// # Errors
    /// When none does within 10 s, or one refuses the connection; the message has the cause.
    pub fn ensure_reachable(&self) -> anyhow::Result<()> {
        let client: BaseProducer<LastError> =
            self.client(&[]).create_with_context(LastError::default()).context("the Kafka settings are not usable")?;
        let deadline = Instant::now() + FIRST_ANSWER_TIMEOUT;
        loop {
            let Err(error) = client.client().fetch_metadata(None, POLL_INTERVAL) else { return Ok(()) };
            // Each poll takes one event, and the one that matters may be queued behind others.
            (0..MAX_EVENTS_PER_POLL).for_each(|_| client.poll(Duration::ZERO));
            let last_error = client.context().0.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let refused = last_error.as_ref().is_some_and(|(error, reason)| is_refusal(error, reason));
            if refused || Instant::now() >= deadline {
                let why = last_error.map_or_else(|| error.to_string(), |(_, reason)| reason);
                let (what, ask) = if refused {
                    ("the Kafka cluster refuses the connection", "are user, password and certificates right?")
                } else {
                    (
                        "no Kafka broker answers",
                        "is it running (deploy/stack up), are KAFKA_BROKERS and --security-protocol right?",
                    )
                };
                bail!("{what} at {}, {}: {ask} {why}", self.brokers, self.security);
            }
        }
    }
}

/// Whether a retry would not help. A broker refuses a client certificate by a TLS alert, which may come after the handshake:
/// the client library then reports a lost connection. It sometimes reports the same when it refuses the broker's certificate.
fn is_refusal(error: &KafkaError, reason: &str) -> bool {
    matches!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL))
        || reason.contains("SSL alert")
        || reason.contains("certificate verify failed")
}
