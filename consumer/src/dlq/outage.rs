//! The outages of the dead-letter topic: one health issue, whichever and however many batches wait.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shared::health::Dependency;

use crate::health::{ConsumerHealth, ConsumerIssue};

/// Reports [`ConsumerIssue::DeadLetterTopic`] when the first batch waits for the topic, and resolves it when the last
/// one waits no longer.
pub struct TopicOutage {
    health: Arc<ConsumerHealth>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    batches: usize,
    /// Whether a batch was acknowledged since the issue was reported.
    works_again: bool,
}

impl TopicOutage {
    pub fn new(health: Arc<ConsumerHealth>) -> Self {
        Self { health, waiting: Mutex::default() }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A batch that does not wait yet.
    pub fn batch(&self) -> BatchOutage<'_> {
        BatchOutage { topic: self, waits: false }
    }
}

/// The part of one batch in the outage. It ends with the batch at the latest.
pub struct BatchOutage<'a> {
    topic: &'a TopicOutage,
    waits: bool,
}

impl BatchOutage<'_> {
    /// Reports that the batch waits.
    pub fn report(&mut self, message: String) {
        let mut waiting = self.topic.waiting();
        if !self.waits {
            self.waits = true;
            waiting.batches += 1;
        }
        self.topic.health.report(ConsumerIssue::DeadLetterTopic, message);
    }

    /// Reports that the batch waits no longer, or never did: the topic has acknowledged it.
    pub fn resolve(&mut self) {
        self.topic.waiting().works_again |= self.waits;
        self.topic.health.confirm(Dependency::DeadLetterTopic);
        self.end();
    }

    fn end(&mut self) {
        let mut waiting = self.topic.waiting();
        if !std::mem::take(&mut self.waits) {
            return;
        }
        waiting.batches -= 1;
        if waiting.batches > 0 {
            return;
        }
        if std::mem::take(&mut waiting.works_again) {
            self.topic.health.resolve(ConsumerIssue::DeadLetterTopic);
        } else {
            self.topic.health.forget(ConsumerIssue::DeadLetterTopic);
        }
    }
}

impl Drop for BatchOutage<'_> {
    /// The batch is cancelled, or its partitions are revoked.
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_issue_lasts_from_the_first_batch_that_waits_to_the_last() {
        let health = Arc::new(ConsumerHealth::default());
        let outage = TopicOutage::new(health.clone());
        let (mut first, mut second, mut third) = (outage.batch(), outage.batch(), outage.batch());
        first.report("no answer".to_owned());
        second.report("no answer".to_owned());
        third.resolve();
        first.resolve();
        assert_eq!(health.status().ready(), Err("no answer".to_owned()), "the second one still waits");
        second.report("refused".to_owned());
        assert_eq!(health.status().ready(), Err("refused".to_owned()));
        drop(second);
        assert_eq!(health.status().ready(), Ok(()));
    }
}
