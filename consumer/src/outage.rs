//! How long a lost dependency is waited for.

use std::sync::Arc;

use shared::retry::Backoff;
use tokio_util::sync::CancellationToken;

use crate::health::{Health, Obstacle};

/// The batch was given up: the stop's deadline is over, or its partitions are gone.
#[derive(Debug, PartialEq, Eq)]
pub struct GivenUp;

/// For how long an outage is waited out: until a stop's deadline, or until nobody needs the result any more.
pub struct Outage<'a> {
    abandon: &'a CancellationToken,
    unneeded: &'a (dyn Fn() -> bool + Sync),
    backoff: Backoff,
    waited: bool,
    reported: Vec<(Arc<Health>, Obstacle)>,
}

impl Drop for Outage<'_> {
    /// Over, or given up: either way nobody waits any longer. Who still does says so again with its next try.
    fn drop(&mut self) {
        for (health, obstacle) in &self.reported {
            health.forget(*obstacle);
        }
    }
}

impl<'a> Outage<'a> {
    /// Waits until `abandon` is cancelled or `unneeded` says so.
    pub fn until(abandon: &'a CancellationToken, unneeded: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Self { abandon, unneeded, backoff: Backoff::start(), waited: false, reported: Vec::new() }
    }

    /// Whether it is still waited for.
    ///
    /// # Errors
    /// [`GivenUp`] when it isn't.
    pub fn check(&self) -> Result<(), GivenUp> {
        if self.abandon.is_cancelled() || (self.unneeded)() { Err(GivenUp) } else { Ok(()) }
    }

    /// Waits for `call`, but no longer than the stop does. A statement that was sent may still commit, which is harmless.
    ///
    /// # Errors
    /// [`GivenUp`] when the stop's deadline came first.
    pub async fn unless_abandoned<T>(&self, call: impl Future<Output = T>) -> Result<T, GivenUp> {
        self.abandon.run_until_cancelled(call).await.ok_or(GivenUp)
    }

    /// Something is in the way, for as long as this is waited for at most.
    pub fn report(&mut self, health: &Arc<Health>, obstacle: Obstacle, what: String) {
        health.trouble(obstacle, what);
        if !self.reported.iter().any(|(_, reported)| *reported == obstacle) {
            self.reported.push((health.clone(), obstacle));
        }
    }

    /// Whether nothing was waited for yet.
    pub fn is_first(&self) -> bool {
        !self.waited
    }

    /// Waits for the next delay, or until the stop's deadline.
    pub async fn wait(&mut self) {
        self.waited = true;
        self.abandon.run_until_cancelled(tokio::time::sleep(self.backoff.next_delay())).await;
    }
}
