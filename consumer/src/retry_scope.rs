//! How long a lost dependency is retried.

use std::sync::Arc;

use shared::retry::Backoff;
use tokio_util::sync::CancellationToken;

use crate::health::{ConsumerHealth, ConsumerIssue};

/// The work was cancelled: the deadline of the stop is over, or all partitions of the batch are revoked.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

/// Retries go on until a stop's deadline, or until the result is no longer needed.
pub struct RetryScope<'a> {
    force_stop: &'a CancellationToken,
    is_unneeded: &'a (dyn Fn() -> bool + Sync),
    backoff: Backoff,
    has_waited: bool,
    reported: Vec<(Arc<ConsumerHealth>, ConsumerIssue)>,
}

impl Drop for RetryScope<'_> {
    /// The scope's issues are resolved or nothing waits for them any more. Another scope that has the same issue
    /// reports it again with its next attempt.
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

    /// Whether the scope goes on.
    ///
    /// # Errors
    /// [`Cancelled`] when it has ended.
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.force_stop.is_cancelled() || (self.is_unneeded)() { Err(Cancelled) } else { Ok(()) }
    }

    /// Runs `call` to its end, or to the stop's deadline. A statement that was sent by then may still commit, which is
    /// harmless (invariant 5).
    ///
    /// # Errors
    /// [`Cancelled`] when the stop's deadline comes first.
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

    /// Whether there was no retry yet.
    pub fn is_first_attempt(&self) -> bool {
        !self.has_waited
    }

    /// Waits for the next delay, or until the stop's deadline.
    pub async fn back_off(&mut self) {
        self.has_waited = true;
        self.force_stop.run_until_cancelled(tokio::time::sleep(self.backoff.next_delay())).await;
    }
}
