//! Latency from due to stored, by stage: recorded for each order, appended to the latency log every second.

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

/// The length of an interval of the latency log.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// Maximum number of runs with their own histograms per interval (1.4 MiB per run). Bounded, because UUIDs of other
/// producers may contain any run tag.
const MAX_RUNS_PER_INTERVAL: usize = 4;

/// Records the latencies of this interval, by the run that the orders belong to.
#[derive(Default)]
pub struct LatencyRecorder {
    interval: Mutex<HashMap<Option<RunTag>, StageHistograms>>,
}

/// Latencies from due to stored, and of each stage in between.
#[derive(Default)]
struct StageHistograms {
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
    /// Records the orders of a batch that was committed at `committed`: the due time of each, and when it was read.
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
            let histograms = interval.entry(run).or_default();
            let times = [due as i64, nanos(read), dequeued, decoded, enriched, committed];
            for ((latencies, exported), stage) in histograms.stages.iter_mut().zip(&exported).zip(times.windows(2)) {
                latencies.record_nanos(stage[1] - stage[0]);
                exported.record((stage[1] - stage[0]) as f64 / 1e9);
            }
            histograms.total.record_nanos(committed - due as i64);
            total.record((committed - due as i64) as f64 / 1e9);
        }
    }

    /// Appends the interval to `log` every second until `stop`, then once more. Returns the latencies of all intervals
    /// and runs.
    pub async fn log(self: Arc<Self>, mut log: Option<LatencyLog>, stop: CancellationToken) -> Latencies {
        let mut all = Latencies::default();
        let mut last = false;
        while !last {
            last = tokio::time::timeout(LOG_INTERVAL, stop.cancelled()).await.is_ok();
            let interval = std::mem::take(&mut *self.interval.lock().unwrap_or_else(PoisonError::into_inner));
            for (run, histograms) in interval {
                all.add(&histograms.total);
                if let Some(Err(error)) = log.as_mut().map(|log| append(log, run, &histograms)) {
                    tracing::warn!(%error, "latency log: writing failed; no further interval is logged");
                    log = None;
                }
            }
        }
        all
    }
}

fn append(log: &mut LatencyLog, run: Option<RunTag>, histograms: &StageHistograms) -> std::io::Result<()> {
    let stages = Stage::ALL.into_iter().map(Stage::name).zip(&histograms.stages);
    for (name, latencies) in stages.chain([(DUE_TO_COMMIT, &histograms.total)]) {
        let series = run.map_or_else(|| name.to_owned(), |tag| run_series(name, tag));
        log.append(&series, LOG_INTERVAL, latencies)?;
    }
    Ok(())
}
