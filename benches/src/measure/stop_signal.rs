//! Threads that do something at a time of each second, until they are told to stop.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Tells threads to stop. Clones share it.
#[derive(Clone, Default)]
pub struct StopSignal(Arc<(Mutex<bool>, Condvar)>);

impl StopSignal {
    pub fn stop(&self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.1.notify_all();
    }

    /// Waits until `offset` (below a second) after the next whole second of the system clock. Returns false, and at
    /// once, after a stop.
    pub fn wait_until_second(&self, offset: Duration) -> bool {
        let duration = until_second(SystemTime::now(), offset);
        let stopped = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.1.wait_timeout_while(stopped, duration, |stopped| !*stopped);
        !*waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Time from `now` to the next moment that is `offset` after a whole second. It is never 0.
fn until_second(now: SystemTime, offset: Duration) -> Duration {
    let second = Duration::from_secs(1);
    let since = Duration::from_nanos(now.duration_since(UNIX_EPOCH).unwrap_or_default().subsec_nanos().into());
    if since < offset { offset - since } else { second + offset - since }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_time_is_at_the_offset_of_this_second_or_of_the_next_one() {
        let at = |millis| UNIX_EPOCH + Duration::from_secs(1_800_000_000) + Duration::from_millis(millis);
        for (now, offset, expected) in [(0, 250, 250), (249, 250, 1), (250, 250, 1_000), (900, 250, 350), (0, 0, 1_000)]
        {
            let duration = until_second(at(now), Duration::from_millis(offset));
            assert_eq!(duration, Duration::from_millis(expected), "{now} ms, offset {offset} ms");
        }
    }

    #[test]
    fn a_stop_ends_the_wait() {
        let stop = StopSignal::default();
        stop.stop();
        assert!(!stop.wait_until_second(Duration::from_millis(999)));
    }
}
