//! How long orders took from due to commit: each second's histogram goes to the latency log.

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

use crate::{decode::Due, metrics};

const INTERVAL: Duration = Duration::from_secs(1);

/// Runs told apart in one interval, at 1.4 MiB each. Another producer's ids may look as if each were a run of its own.
const RUNS_AN_INTERVAL: usize = 4;

/// Latencies of this interval, by the run that the orders belong to.
#[derive(Default)]
pub struct Statistics {
    interval: Mutex<HashMap<Option<RunTag>, Way>>,
}

/// Latencies from due to commit, and those of each stage of it.
#[derive(Default)]
struct Way {
    whole: Latencies,
    stages: [Latencies; Stage::ALL.len()],
}

/// When a batch got how far.
#[derive(Clone, Copy, Debug)]
pub struct BatchTimes {
    /// Its writer took it.
    pub taken: SystemTime,
    /// It was decoded.
    pub decoded: SystemTime,
    /// It was enriched.
    pub enriched: SystemTime,
    /// It was in the table.
    pub committed: SystemTime,
}

fn nanos(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as i64
}

impl Statistics {
    /// Orders of one batch are in the table: when each was due, and when it was read.
    pub fn committed(&self, times: BatchTimes, orders: impl Iterator<Item = (Due, SystemTime)>) {
        let [taken, decoded, enriched, committed] =
            [times.taken, times.decoded, times.enriched, times.committed].map(nanos);
        let exported = Stage::ALL.map(|stage| ::metrics::histogram!(metrics::STAGE_SECONDS, "stage" => stage.name()));
        let whole = ::metrics::histogram!(metrics::DUE_TO_COMMIT_SECONDS);
        let mut interval = self.interval.lock().unwrap_or_else(PoisonError::into_inner);
        for (Due { nanos: due, run }, read) in orders {
            let run = run.filter(|run| interval.len() < RUNS_AN_INTERVAL || interval.contains_key(&Some(*run)));
            let way = interval.entry(run).or_default();
            let passed = [due as i64, nanos(read), taken, decoded, enriched, committed];
            for ((latencies, exported), time) in way.stages.iter_mut().zip(&exported).zip(passed.windows(2)) {
                latencies.record_nanos(time[1] - time[0]);
                exported.record((time[1] - time[0]) as f64 / 1e9);
            }
            way.whole.record_nanos(committed - due as i64);
            whole.record((committed - due as i64) as f64 / 1e9);
        }
    }

    /// Writes each second until `stop`, then once more, and gives the latencies of the whole time and all runs.
    pub async fn log(self: Arc<Self>, mut log: Option<LatencyLog>, stop: CancellationToken) -> Latencies {
        let mut whole = Latencies::default();
        let mut last = false;
        while !last {
            last = tokio::time::timeout(INTERVAL, stop.cancelled()).await.is_ok();
            let interval = std::mem::take(&mut *self.interval.lock().unwrap_or_else(PoisonError::into_inner));
            for (run, way) in interval {
                whole.add(&way.whole);
                if let Some(Err(error)) = log.as_mut().map(|log| append(log, run, &way)) {
                    tracing::warn!(%error, "the latency log is given up");
                    log = None;
                }
            }
        }
        whole
    }
}

fn append(log: &mut LatencyLog, run: Option<RunTag>, way: &Way) -> std::io::Result<()> {
    let stages = Stage::ALL.into_iter().map(Stage::name).zip(&way.stages);
    for (name, latencies) in stages.chain([(DUE_TO_COMMIT, &way.whole)]) {
        let series = run.map_or_else(|| name.to_owned(), |tag| run_series(name, tag));
        log.append(&series, INTERVAL, latencies)?;
    }
    Ok(())
}
