//! Leaves a service alone that does not answer, so that its deadline is waited for once and not by every batch.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use shared::retry::Backoff;

/// Closed: the service is asked. Open: it is left alone for a while, longer after each failure. Then one caller tries it,
/// and the others go without until that one knows.
#[derive(Default)]
pub struct Breaker {
    open: Mutex<Option<Open>>,
}

struct Open {
    backoff: Backoff,
    until: Instant,
}

/// What a caller may learn from its own call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The service fails now, and did not before.
    Lost,
    /// It answers again.
    Back,
    /// As before.
    None,
}

impl Breaker {
    fn state(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the service may be asked now; if so the caller reports what came of it, within `deadline`.
    pub fn try_pass(&self, now: Instant, deadline: Duration) -> bool {
        match &mut *self.state() {
            None => true,
            Some(open) if now < open.until => false,
            Some(open) => {
                open.until = now + deadline;
                true
            }
        }
    }

    /// It answered.
    pub fn succeeded(&self) -> Change {
        self.state().take().map_or(Change::None, |_| Change::Back)
    }

    /// It did not.
    pub fn failed(&self, now: Instant) -> Change {
        let mut state = self.state();
        let change = if state.is_none() { Change::Lost } else { Change::None };
        let open = state.get_or_insert_with(|| Open { backoff: Backoff::start(), until: now });
        open.until = now + open.backoff.next_delay();
        change
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_tries_a_service_that_failed_while_the_others_go_without() {
        let (breaker, deadline, start) = (Breaker::default(), Duration::from_secs(1), Instant::now());
        assert!(breaker.try_pass(start, deadline) && breaker.try_pass(start, deadline));
        assert_eq!((breaker.failed(start), breaker.failed(start)), (Change::Lost, Change::None));
        assert!(!breaker.try_pass(start + Duration::from_millis(1), deadline));
        let later = start + Duration::from_secs(20);
        assert!(breaker.try_pass(later, deadline));
        assert!(!breaker.try_pass(later, deadline), "somebody is trying");
        assert!(breaker.try_pass(later + deadline, deadline), "who tried never said what came of it");
        assert_eq!((breaker.succeeded(), breaker.succeeded()), (Change::Back, Change::None));
        assert!(breaker.try_pass(later, deadline));
    }
}
