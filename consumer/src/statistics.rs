//! How long orders took from due to commit: each second's histogram goes to the latency log.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use shared::latency::{DUE_TO_COMMIT, Latencies, LatencyLog};
use tokio_util::sync::CancellationToken;

const INTERVAL: Duration = Duration::from_secs(1);

/// Latencies of this interval, and of the whole time.
#[derive(Default)]
pub struct Statistics {
    interval: Mutex<Latencies>,
}

impl Statistics {
    /// Orders due at these nanoseconds after the Unix epoch are in the table now.
    pub fn committed(&self, due_nanos: impl Iterator<Item = u64>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as i64;
        let mut interval = self.interval.lock().unwrap_or_else(PoisonError::into_inner);
        for due in due_nanos {
            interval.record_nanos(now - due as i64);
        }
    }

    /// Writes each second until `stop`, then once more, and gives the latencies of the whole time.
    pub async fn log(self: Arc<Self>, mut log: Option<LatencyLog>, stop: CancellationToken) -> Latencies {
        let mut whole = Latencies::default();
        let mut last = false;
        while !last {
            last = tokio::time::timeout(INTERVAL, stop.cancelled()).await.is_ok();
            let interval = std::mem::take(&mut *self.interval.lock().unwrap_or_else(PoisonError::into_inner));
            whole.add(&interval);
            if let Some(Err(error)) = log.as_mut().map(|log| log.append(DUE_TO_COMMIT, INTERVAL, &interval)) {
                tracing::warn!(%error, "the latency log is given up");
                log = None;
            }
        }
        whole
    }
}
