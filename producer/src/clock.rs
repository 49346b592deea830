//! The clock of a run. All times inside a run are nanoseconds after its start, the due time of the first order.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

/// The start of a run, on the monotonic clock and on the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct RunClock {
    pub start: Instant,
    pub started_at: DateTime<Utc>,
}

impl RunClock {
    /// Nanoseconds since the start, negative before it.
    pub fn now(self) -> i64 {
        let now = Instant::now();
        match now.checked_duration_since(self.start) {
            Some(elapsed) => elapsed.as_nanos() as i64,
            None => -(self.start.duration_since(now).as_nanos() as i64),
        }
    }

    /// The instant `nanos` nanoseconds after the start.
    pub fn instant(self, nanos: i64) -> Instant {
        let distance = Duration::from_nanos(nanos.unsigned_abs());
        if nanos >= 0 { self.start + distance } else { self.start - distance }
    }

    /// Nanoseconds since the Unix epoch at `nanos` nanoseconds after the start.
    pub fn unix_nanos(self, nanos: u64) -> u64 {
        let started_at = self.started_at.timestamp_nanos_opt().and_then(|start| u64::try_from(start).ok());
        started_at.unwrap_or_default() + nanos
    }

    /// Time until the start; zero after it.
    pub fn until_start(self) -> Duration {
        self.start.saturating_duration_since(Instant::now())
    }

    /// Time since the start; zero before it.
    pub fn since_start(self) -> Duration {
        Instant::now().saturating_duration_since(self.start)
    }
}
