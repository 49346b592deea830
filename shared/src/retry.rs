//! The one policy by which a lost dependency is tried again: exponential, capped, with jitter, for as long as it takes.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// The delays before each next try: 100 ms doubling to at most 5 s, jittered so that replicas don't return in step.
pub struct Backoff(ExponentialBackoff);

impl Backoff {
    /// A policy at its first delay; make a new one after each success.
    pub fn start() -> Self {
        let policy = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(5))
            .without_max_times()
            .with_jitter();
        Self(policy.build())
    }

    /// How long to wait before the next try.
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
