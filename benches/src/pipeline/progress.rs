//! Intervals and timeout of the waits, and how a wait logs its progress.

use std::time::{Duration, Instant};

/// Time without progress after which a wait fails.
pub const PROGRESS_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause between two polls of a condition.
pub const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Pause between two log lines of one wait.
const LOG_INTERVAL: Duration = Duration::from_secs(2);

/// Logs the progress of a wait, at most once in two seconds.
pub struct ProgressLog {
    last: Instant,
}

impl ProgressLog {
    /// The first line comes after one interval.
    pub fn start() -> Self {
        Self { last: Instant::now() }
    }

    pub fn log(&mut self, message: impl FnOnce() -> String) {
        if self.last.elapsed() > LOG_INTERVAL {
            tracing::info!("{}", message());
            self.last = Instant::now();
        }
    }
}
