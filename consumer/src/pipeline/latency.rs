//! Latency from due to commit, by stage: recorded for each order, appended to the latency log each second.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use shared::{
    latency::{DUE_TO_COMMIT, Latencies, LatencyLog, Stage, run_series},
    order_id::RunTag,
};
use tokio_util::sync::CancellationToken;

use super::decode::Due;
use crate::metrics;

const INTERVAL: Duration = Duration::from_secs(1);

/// The runs that have histograms of their own in one interval, at 1.4 MiB each. The ids of another producer may look
/// like those of many runs.
const MAX_RUNS_PER_INTERVAL: usize = 4;

/// Records the latencies of this interval, by the run that the orders belong to.
#[derive(Default)]
pub struct LatencyRecorder {
    interval: Mutex<HashMap<Option<RunTag>, LatencyBreakdown>>,
}

/// Latencies from due to commit, and of each stage in between.
#[derive(Default)]
struct LatencyBreakdown {
    total: Latencies,
    stages: [Latencies; Stage::ALL.len()],
}

/// When each step of a batch's preparation ended.
#[derive(Clone, Copy, Debug)]
pub struct PreparationTimes {
    /// When the worker took the batch from its queue.
    pub dequeued: SystemTime,
    pub decoded: SystemTime,
    pub enriched: SystemTime,
}

fn nanos(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as i64
}

impl LatencyRecorder {
    /// Records the orders of a batch that is in the table since `committed`: when each was due, and when it was read.
    pub fn record(
        &self,
        times: PreparationTimes,
        committed: SystemTime,
        orders: impl Iterator<Item = (Due, SystemTime)>,
    ) {
        let [dequeued, decoded, enriched, committed] =
            [times.dequeued, times.decoded, times.enriched, committed].map(nanos);
        let exported = Stage::ALL.map(|stage| ::metrics::histogram!(metrics::STAGE_SECONDS, "stage" => stage.name()));
        let total = ::metrics::histogram!(metrics::DUE_TO_COMMIT_SECONDS);
        let mut interval = self.interval.lock().unwrap_or_else(PoisonError::into_inner);
        for (Due { nanos: due, run }, read) in orders {
            let run = run.filter(|run| interval.len() < MAX_RUNS_PER_INTERVAL || interval.contains_key(&Some(*run)));
            let breakdown = interval.entry(run).or_default();
            let times = [due as i64, nanos(read), dequeued, decoded, enriched, committed];
            for ((latencies, exported), stage) in breakdown.stages.iter_mut().zip(&exported).zip(times.windows(2)) {
                latencies.record_nanos(stage[1] - stage[0]);
                exported.record((stage[1] - stage[0]) as f64 / 1e9);
            }
            breakdown.total.record_nanos(committed - due as i64);
            total.record((committed - due as i64) as f64 / 1e9);
        }
    }

    /// Appends the interval to `log` each second until `stop`, then once more. Returns the latencies of all intervals
    /// and runs.
    pub async fn log(self: Arc<Self>, mut log: Option<LatencyLog>, stop: CancellationToken) -> Latencies {
        let mut all = Latencies::default();
        let mut last = false;
        while !last {
            last = tokio::time::timeout(INTERVAL, stop.cancelled()).await.is_ok();
            let interval = std::mem::take(&mut *self.interval.lock().unwrap_or_else(PoisonError::into_inner));
            for (run, breakdown) in interval {
                all.add(&breakdown.total);
                if let Some(Err(error)) = log.as_mut().map(|log| append(log, run, &breakdown)) {
                    tracing::warn!(%error, "latency log: writing failed; no further interval is logged");
                    log = None;
                }
            }
        }
        all
    }
}

fn append(log: &mut LatencyLog, run: Option<RunTag>, breakdown: &LatencyBreakdown) -> std::io::Result<()> {
    let stages = Stage::ALL.into_iter().map(Stage::name).zip(&breakdown.stages);
    for (name, latencies) in stages.chain([(DUE_TO_COMMIT, &breakdown.total)]) {
        let series = run.map_or_else(|| name.to_owned(), |tag| run_series(name, tag));
        log.append(&series, INTERVAL, latencies)?;
    }
    Ok(())
}
