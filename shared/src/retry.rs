//! The retry policy for an unreachable dependency: exponential backoff with a cap and jitter, without a limit of
//! retries.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// The delays between retries: 100 ms, doubled each time up to 5 s. Each has a random part of up to its own length
/// added, so that replicas do not retry at the same time.
pub struct Backoff(ExponentialBackoff);

impl Backoff {
    /// Starts at the first delay. After a success, start again.
    pub fn start() -> Self {
        let policy = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(5))
            .without_max_times()
            .with_jitter();
        Self(policy.build())
    }

    /// The delay before the next retry, 100 ms to 10 s.
    pub fn next_delay(&mut self) -> Duration {
        self.0.next().unwrap_or(Duration::from_secs(5))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_grows_to_its_cap_and_never_ends() {
        let mut backoff = Backoff::start();
        let delays: Vec<_> = (0..1_000).map(|_| backoff.next_delay()).collect();
        assert!(delays[0] < Duration::from_millis(250));
        assert!(delays[999] >= Duration::from_secs(5) && delays[999] <= Duration::from_secs(10));
    }
}
