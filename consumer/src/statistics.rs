//! How long orders took from due to commit: each second's histogram goes to the latency log.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use shared::{
    latency::{DUE_TO_COMMIT, Latencies, LatencyLog, due_to_commit},
    order_id::RunTag,
};
use tokio_util::sync::CancellationToken;

use crate::decode::Due;

const INTERVAL: Duration = Duration::from_secs(1);

/// Runs told apart in one interval. Another producer's ids may look as if each were a run of its own.
const RUNS_AN_INTERVAL: usize = 16;

/// Latencies of this interval, by the run that the orders belong to.
#[derive(Default)]
pub struct Statistics {
    interval: Mutex<HashMap<Option<RunTag>, Latencies>>,
}

impl Statistics {
    /// Orders due then were in the table `at` that time.
    pub fn committed(&self, at: SystemTime, orders: impl Iterator<Item = Due>) {
        let at = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as i64;
        let mut interval = self.interval.lock().unwrap_or_else(PoisonError::into_inner);
        for Due { nanos, run } in orders {
            let run = run.filter(|run| interval.len() < RUNS_AN_INTERVAL || interval.contains_key(&Some(*run)));
            interval.entry(run).or_default().record_nanos(at - nanos as i64);
        }
    }

    /// Writes each second until `stop`, then once more, and gives the latencies of the whole time and all runs.
    pub async fn log(self: Arc<Self>, mut log: Option<LatencyLog>, stop: CancellationToken) -> Latencies {
        let mut whole = Latencies::default();
        let mut last = false;
        while !last {
            last = tokio::time::timeout(INTERVAL, stop.cancelled()).await.is_ok();
            let interval = std::mem::take(&mut *self.interval.lock().unwrap_or_else(PoisonError::into_inner));
            for (run, latencies) in interval {
                whole.add(&latencies);
                let series = run.map_or_else(|| DUE_TO_COMMIT.to_owned(), due_to_commit);
                if let Some(Err(error)) = log.as_mut().map(|log| log.append(&series, INTERVAL, &latencies)) {
                    tracing::warn!(%error, "the latency log is given up");
                    log = None;
                }
            }
        }
        whole
    }
}
