//! A circuit breaker: without it, each batch would wait for the timeout of a service that does not answer.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::retry::Backoff;

/// Closed: every call is allowed. Open: no call is allowed until a delay is over, which grows with each failure.
/// Half-open: one call is allowed; the others are refused until that one has reported its result.
#[derive(Default)]
pub struct CircuitBreaker {
    open: Mutex<Option<Open>>,
}

struct Open {
    backoff: Backoff,
    until: Instant,
}

impl CircuitBreaker {
    fn state(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a call is allowed now. The caller of an allowed one reports its result within `timeout`.
    pub fn allows_call(&self, now: Instant, timeout: Duration) -> bool {
        match &mut *self.state() {
            None => true,
            Some(open) if now < open.until => false,
            Some(open) => {
                open.until = now + timeout;
                true
            }
        }
    }

    /// Closes the breaker.
    pub fn record_success(&self) {
        *self.state() = None;
    }

    /// Opens the breaker.
    pub fn record_failure(&self, now: Instant) {
        let mut state = self.state();
        let open = state.get_or_insert_with(|| Open { backoff: Backoff::start(), until: now });
        open.until = now + open.backoff.next_delay();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_breaker_allows_one_call_after_its_delay() {
        let (breaker, timeout, start) = (CircuitBreaker::default(), Duration::from_secs(1), Instant::now());
        assert!(breaker.allows_call(start, timeout) && breaker.allows_call(start, timeout));
        breaker.record_failure(start);
        breaker.record_failure(start);
        assert!(!breaker.allows_call(start + Duration::from_millis(1), timeout));
        let later = start + Duration::from_secs(20);
        assert!(breaker.allows_call(later, timeout));
        assert!(!breaker.allows_call(later, timeout), "half-open: one call is under way");
        assert!(breaker.allows_call(later + timeout, timeout), "the call never reported its result");
        breaker.record_success();
        assert!(breaker.allows_call(later, timeout) && breaker.allows_call(later, timeout));
    }
}
