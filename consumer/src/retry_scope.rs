//! Retries of calls to PostgreSQL and Kafka, until they succeed or are cancelled.

use std::sync::Arc;

use shared::retry::Backoff;
use tokio_util::sync::CancellationToken;

use crate::health::{ConsumerHealth, ConsumerIssue};

/// The work was cancelled: the deadline of the stop is over, or all partitions of the batch are revoked.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

/// Retries end at the stop deadline, or when the result is no longer needed.
pub struct RetryScope<'a> {
    force_stop: &'a CancellationToken,
    is_unneeded: &'a (dyn Fn() -> bool + Sync),
    backoff: Backoff,
    has_waited: bool,
    reported: Vec<(Arc<ConsumerHealth>, ConsumerIssue)>,
}

impl Drop for RetryScope<'_> {
    /// After a cancellation, the issues of the scope no longer matter. Another scope with the same issue reports it again
    /// at its next attempt.
    fn drop(&mut self) {
        for (health, issue) in &self.reported {
            health.forget(*issue);
        }
    }
}

impl<'a> RetryScope<'a> {
    /// A scope that ends when `force_stop` is cancelled or `is_unneeded` returns true.
    pub fn new(force_stop: &'a CancellationToken, is_unneeded: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Self { force_stop, is_unneeded, backoff: Backoff::start(), has_waited: false, reported: Vec::new() }
    }

    /// Returns `Ok` while retries are allowed.
    ///
    /// # Errors
    /// [`Cancelled`] when it has ended.
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.force_stop.is_cancelled() || (self.is_unneeded)() { Err(Cancelled) } else { Ok(()) }
    }

    /// Runs `call` to its end, or until the stop deadline. A statement that was sent by then may still commit, which is
    /// harmless (invariant 5).
    ///
    /// # Errors
    /// [`Cancelled`] at the stop deadline.
    pub async fn run<T>(&self, call: impl Future<Output = T>) -> Result<T, Cancelled> {
        self.force_stop.run_until_cancelled(call).await.ok_or(Cancelled)
    }

    /// Reports an issue, which is forgotten at the end of the scope.
    pub fn report(&mut self, health: &Arc<ConsumerHealth>, issue: ConsumerIssue, message: String) {
        health.report(issue, message);
        if !self.reported.iter().any(|(_, reported)| *reported == issue) {
            self.reported.push((health.clone(), issue));
        }
    }

    /// Ends the scope after a success: its issues are resolved.
    pub fn succeed(mut self) {
        for (health, issue) in self.reported.drain(..) {
            health.resolve(issue);
        }
    }

    /// Whether there was no retry yet.
    pub fn is_first_attempt(&self) -> bool {
        !self.has_waited
    }

    /// Waits for the next delay, or until the stop deadline.
    pub async fn back_off(&mut self) {
        self.has_waited = true;
        self.force_stop.run_until_cancelled(tokio::time::sleep(self.backoff.next_delay())).await;
    }
}
