//! Sends rejected records to the dead-letter topic, with headers for their position and the reason.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use shared::kafka::{KafkaSettings, TopicSettings};

use super::{
    client::DeadLetterClients,
    delivery::Delivery,
    form::DeadLetterWriter,
    letter::{DeadLetterOutcome, Letter, Rejected},
    limiter::{DeadLetterLimiter, Decision},
    outage::{BatchOutage, TopicOutage},
};
use crate::{
    health::{ConsumerHealth, ConsumerIssue},
    retry_scope::{Cancelled, RetryScope},
};

/// Dead letters that are not acknowledged for this long are a health issue.
const REPORT_AFTER: Duration = Duration::from_secs(5);
/// Interval at which records over the limit check whether an operator has accepted their kind.
const ACCEPT_CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// Stores rejected records.
pub trait DeadLetterSink: Send + Sync {
    /// Counts processed records, including those that will be sent here.
    fn observe(&self, records: usize);

    /// Sends the rejected records of a batch, and returns the outcome of each, in their order, once all have one.
    ///
    /// # Errors
    /// [`Cancelled`] when `scope` ends first.
    fn send(
        &self,
        rejected: &[Rejected<'_>],
        scope: &mut RetryScope<'_>,
    ) -> impl Future<Output = Result<Vec<DeadLetterOutcome>, Cancelled>> + Send;
}

/// The dead-letter topic, with the limit of each kind.
pub struct DeadLetterTopic {
    delivery: Delivery,
    limiter: Arc<DeadLetterLimiter>,
    health: Arc<ConsumerHealth>,
    outage: TopicOutage,
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
        let clients = DeadLetterClients::open(kafka).context("the Kafka settings are not usable")?;
        let (source_topic, topic) = (topic.topic.clone(), topic.dead_letter_topic());
        let writer = DeadLetterWriter { source_topic, topic, instance };
        let delivery = Delivery { clients, writer, report_after: REPORT_AFTER };
        Ok(Self { delivery, limiter, outage: TopicOutage::new(health.clone()), health })
    }

    #[cfg(test)]
    pub fn reporting_after(mut self, report_after: Duration) -> Self {
        self.delivery.report_after = report_after;
        self
    }

    #[cfg(test)]
    pub fn batching_client(&self) -> rdkafka::producer::FutureProducer {
        self.delivery.clients.batching.get().unwrap()
    }

    /// Sends the letters until each has an outcome.
    async fn send_all(
        &self,
        letters: &mut [Letter<'_>],
        outage: &mut BatchOutage<'_>,
        scope: &mut RetryScope<'_>,
    ) -> Result<(), Cancelled> {
        let mut was_over_limit = false;
        loop {
            scope.check()?;
            // Each letter is looked at, so that one of a revoked partition is not sent.
            if letters.iter_mut().filter_map(|letter| letter.hand_back_if_revoked().then_some(letter)).count() == 0 {
                return Ok(());
            }
            let over_limit = self.allow(letters);
            let failure = self.delivery.attempt(letters, outage, scope).await?;
            if is_acknowledged(letters) {
                outage.resolve();
            }
            if let Some(failure) = failure {
                outage.report(failure);
                scope.back_off().await;
            } else if let Some(message) = over_limit {
                was_over_limit = true;
                scope.report(&self.health, ConsumerIssue::DeadLetterLimit, message);
                scope.run(tokio::time::sleep(ACCEPT_CHECK_INTERVAL)).await?;
            } else if std::mem::take(&mut was_over_limit) {
                self.health.resolve(ConsumerIssue::DeadLetterLimit);
            }
        }
    }

    /// Allows the letters that are within the limit of their kind. Returns a message when others are over it.
    fn allow(&self, letters: &mut [Letter<'_>]) -> Option<String> {
        let mut over_limit = None;
        for letter in letters.iter_mut().filter(|letter| letter.is_open() && !letter.is_allowed) {
            let kind = letter.rejected.reason.kind();
            match self.limiter.decide(kind, Instant::now()) {
                Decision::Allow => letter.is_allowed = true,
                Decision::OverLimit { dead_letters } => over_limit = over_limit.or(Some((kind, dead_letters))),
            }
        }
        let (kind, dead_letters) = over_limit?;
        Some(format!(
            "dead-letter limit reached: {dead_letters} orders of kind {kind}. Dead-lettering is stopped. Check that \
             this is the right database, that it is seeded, and that producers and consumers have the same version. \
             To accept the kind: kill -USR1 {}. To stop without dead-lettering: Ctrl-C",
            std::process::id()
        ))
    }
}

impl DeadLetterSink for DeadLetterTopic {
    fn observe(&self, records: usize) {
        self.limiter.observe(records as u64, Instant::now());
    }

    /// Waits out an outage of the topic. A record that the topic refuses is sent in a smaller form.
    async fn send(
        &self,
        rejected: &[Rejected<'_>],
        scope: &mut RetryScope<'_>,
    ) -> Result<Vec<DeadLetterOutcome>, Cancelled> {
        let mut letters: Vec<Letter<'_>> = rejected.iter().copied().map(Letter::new).collect();
        let mut outage = self.outage.batch();
        self.send_all(&mut letters, &mut outage, scope).await?;
        Ok(letters.iter().filter_map(|letter| letter.outcome).collect())
    }
}

/// Whether the topic has acknowledged the letters, and those alone wait that are over the limit.
fn is_acknowledged(letters: &[Letter<'_>]) -> bool {
    letters.iter().any(|letter| letter.outcome == Some(DeadLetterOutcome::Acknowledged))
        && !letters.iter().any(|letter| letter.is_open() && letter.is_allowed)
}
