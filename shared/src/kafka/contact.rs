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

use super::settings::{KafkaSettings, PATIENCE};

/// Time between two looks at what the client library has to say.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// More than the library says within that time.
const HEARD_AT_ONCE: usize = 1_000;

/// Remembers the last failure that the client library spoke of. To whoever calls it, it says no more than that no broker
/// answered in time: why (a wrong password, a certificate that nobody signed) is told aside.
#[derive(Default)]
struct Overheard(Mutex<Option<(KafkaError, String)>>);

impl ClientContext for Overheard {
    fn error(&self, error: KafkaError, reason: &str) {
        // `WHERE: what and why (after 5ms in state …, 3 identical error(s) suppressed)`
        let reason = reason.split_once(" (after ").map_or(reason, |(told, _)| told);
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // That all brokers are down follows from what was heard of each, and says less.
        if heard.is_none() || error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            *heard = Some((error, reason.to_owned()));
        }
    }
}

impl ProducerContext for Overheard {
    type DeliveryOpaque = <DefaultProducerContext as ProducerContext>::DeliveryOpaque;

    fn delivery(&self, _: &rdkafka::message::DeliveryResult<'_>, (): Self::DeliveryOpaque) {}
}

impl KafkaSettings {
    /// Waits until a broker answers. Blocks.
    ///
    /// # Errors
    /// When none does within 10 s, or one refuses to let us in; says why.
    pub fn reach(&self) -> anyhow::Result<()> {
        let client: BaseProducer<Overheard> =
            self.client(&[]).create_with_context(Overheard::default()).context("the Kafka settings are not usable")?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let Err(error) = client.client().fetch_metadata(None, LOOK_EVERY) else { return Ok(()) };
            // Each call takes one thing that the library has to say, and what matters may stand behind others.
            (0..HEARD_AT_ONCE).for_each(|_| client.poll(Duration::ZERO));
            let overheard = client.context().0.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let refused = overheard.as_ref().is_some_and(|(error, reason)| is_refusal(error, reason));
            if refused || Instant::now() >= deadline {
                let why = overheard.map_or_else(|| error.to_string(), |(_, reason)| reason);
                let (what, ask) = if refused {
                    ("the Kafka cluster refuses us", "are user, password and certificates right?")
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

/// Whether trying again would not help. A broker that does not like our certificate says so by an alert, which may come after
/// the handshake: to the client library the connection is then merely lost. So it is, now and then, when we don't like the
/// broker's.
fn is_refusal(error: &KafkaError, reason: &str) -> bool {
    matches!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL))
        || reason.contains("SSL alert")
        || reason.contains("certificate verify failed")
}
