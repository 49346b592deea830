//! Limits dead letters by kind. Many dead letters of one kind have a common cause: a wrong or unseeded database, or a
//! version of the event that this consumer does not support. Dead-lettering of the kind stops until an operator accepts
//! it.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::settings::DeadLetterLimit;

/// The length of the windows that dead letters are counted in.
const WINDOW: Duration = Duration::from_secs(10);
/// This many dead letters of a kind are always allowed in a window.
const MIN_DEAD_LETTERS: u64 = 100;

/// Counts dead letters by kind, and refuses those over the limit.
pub struct DeadLetterLimiter {
    limit: DeadLetterLimit,
    window: Mutex<Window>,
}

struct Window {
    began: Instant,
    records: u64,
    dead_letters: HashMap<&'static str, u64>,
    /// The kinds over the limit.
    over_limit: HashSet<&'static str>,
    /// The kinds without a limit, since an operator accepted them.
    accepted: HashSet<&'static str>,
}

/// Whether a record may be dead-lettered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Allow,
    /// The kind is over the limit.
    OverLimit {
        /// The records of the kind in this window, this one included.
        dead_letters: u64,
    },
}

impl DeadLetterLimiter {
    pub fn new(limit: DeadLetterLimit) -> Self {
        let window = Window {
            began: Instant::now(),
            records: 0,
            dead_letters: HashMap::new(),
            over_limit: HashSet::new(),
            accepted: HashSet::new(),
        };
        Self { limit, window: Mutex::new(window) }
    }

    fn window(&self, now: Instant) -> MutexGuard<'_, Window> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        // A kind over the limit stays over it until it is accepted.
        if now.duration_since(window.began) > WINDOW && window.over_limit.is_empty() {
            (window.began, window.records) = (now, 0);
            window.dead_letters.clear();
        }
        window
    }

    /// Counts records that were processed, those that are to be dead-lettered included.
    pub fn observe(&self, records: u64, now: Instant) {
        self.window(now).records += records;
    }

    /// Decides about a record that is to be dead-lettered as `kind`, and counts it when it is allowed.
    pub fn decide(&self, kind: &'static str, now: Instant) -> Decision {
        let mut window = self.window(now);
        if window.accepted.contains(kind) {
            return Decision::Allow;
        }
        let dead_letters = window.dead_letters.get(kind).copied().unwrap_or_default() + 1;
        let is_over_limit = match self.limit {
            DeadLetterLimit::Unlimited => false,
            _ if window.over_limit.contains(kind) => true,
            DeadLetterLimit::At { share, dead_letters: max } => {
                let above_share = dead_letters as f64 > share * window.records as f64;
                dead_letters > max || (dead_letters > MIN_DEAD_LETTERS && above_share)
            }
        };
        if is_over_limit {
            window.over_limit.insert(kind);
            return Decision::OverLimit { dead_letters };
        }
        window.dead_letters.insert(kind, dead_letters);
        Decision::Allow
    }

    /// Removes the limit of the kinds that are over it, and returns them.
    pub fn accept(&self) -> Vec<&'static str> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let kinds: Vec<&'static str> = std::mem::take(&mut window.over_limit).into_iter().collect();
        window.accepted.extend(&kinds);
        kinds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: DeadLetterLimit = DeadLetterLimit::At { share: 0.05, dead_letters: 1_000 };

    fn allowed(limiter: &DeadLetterLimiter, kind: &'static str, records: u64, now: Instant) -> u64 {
        (0..records).filter(|_| limiter.decide(kind, now) == Decision::Allow).count() as u64
    }

    #[test]
    fn a_few_are_always_allowed() {
        let (limiter, now) = (DeadLetterLimiter::new(LIMIT), Instant::now());
        limiter.observe(100, now);
        assert_eq!(allowed(&limiter, "unknown_user", 100, now), 100);
        assert_eq!(limiter.decide("unknown_user", now), Decision::OverLimit { dead_letters: 101 });
        assert_eq!(limiter.decide("malformed", now), Decision::Allow, "each kind has its own limit");
    }

    #[test]
    fn a_share_or_a_number_of_one_kind_in_a_window_is_the_limit() {
        let now = Instant::now();
        let by_share = DeadLetterLimiter::new(LIMIT);
        by_share.observe(10_000, now);
        assert_eq!(allowed(&by_share, "malformed", 600, now), 500);
        let by_number = DeadLetterLimiter::new(LIMIT);
        by_number.observe(1_000_000, now);
        assert_eq!(allowed(&by_number, "malformed", 2_000, now), 1_000);
        assert_eq!(allowed(&DeadLetterLimiter::new(DeadLetterLimit::Unlimited), "malformed", 5_000, now), 5_000);
    }

    #[test]
    fn a_kind_over_the_limit_stays_over_it_and_a_new_window_resets_the_counts_of_the_others() {
        let (limiter, now) = (DeadLetterLimiter::new(LIMIT), Instant::now());
        let later = now + WINDOW + Duration::from_secs(1);
        assert_eq!(allowed(&limiter, "malformed", 100, now), 100);
        assert_eq!(allowed(&limiter, "malformed", 100, later), 100);
        assert_eq!(allowed(&limiter, "malformed", 1, later), 0);
        assert_eq!(allowed(&limiter, "malformed", 1, later + WINDOW * 2), 0);
        assert_eq!(limiter.accept(), ["malformed"]);
        assert_eq!(allowed(&limiter, "malformed", 5_000, later + WINDOW * 2), 5_000);
        assert_eq!(limiter.accept(), Vec::<&str>::new());
    }
}
