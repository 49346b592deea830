//! How long a lost dependency is waited for.

use shared::retry::Backoff;
use tokio_util::sync::CancellationToken;

/// The batch was given up: the stop's deadline is over, or its partitions are gone.
#[derive(Debug, PartialEq, Eq)]
pub struct GivenUp;

/// For how long an outage is waited out: until a stop's deadline, or until nobody needs the result any more.
pub struct Outage<'a> {
    abandon: &'a CancellationToken,
    unneeded: &'a (dyn Fn() -> bool + Sync),
    backoff: Backoff,
}

impl<'a> Outage<'a> {
    /// Waits until `abandon` is cancelled or `unneeded` says so.
    pub fn until(abandon: &'a CancellationToken, unneeded: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Self { abandon, unneeded, backoff: Backoff::start() }
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

    /// Waits for the next delay, or until the stop's deadline.
    pub async fn wait(&mut self) {
        self.abandon.run_until_cancelled(tokio::time::sleep(self.backoff.next_delay())).await;
    }
}
