//! Latency from due to stored, by stage: recorded for each order and each change, appended to the latency log every
//! second.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use shared::{
    latency::{DUE_TO_COMMIT, Latencies, LatencyLog, Stage, change_series, run_series, until_interval_end},
    order_id::RunTag,
};
use tokio_util::sync::CancellationToken;

use super::decode::Due;
use crate::{metrics, model::RecordKind};

/// Maximum number of runs per interval whose histograms have the full range (1.4 MiB per run). The latencies of further
/// runs are kept one by one until the end of the interval, in 40 bytes per order.
const MAX_FULL_HISTOGRAMS: usize = 4;

/// Maximum number of runs with a series of their own per interval. Bounded, because UUIDs of other producers may
/// contain any run tag. Orders of further runs are in the series of all other orders.
const MAX_RUNS_PER_INTERVAL: usize = 256;

/// Maximum number of latencies per interval that are kept one by one (10 MiB). Further ones are in the series of all
/// other orders.
const MAX_KEPT_ORDERS: usize = 1 << 18;

/// Records the latencies of this interval, by kind and by the run that the orders belong to.
#[derive(Default)]
pub struct LatencyRecorder {
    interval: Mutex<Interval>,
}

/// The latencies of orders and changes in an interval. The limits are for both together, but that of the runs.
#[derive(Default)]
struct Interval {
    orders: ByRun,
    changes: ByRun,
    full_histograms: usize,
    kept_orders: usize,
}

/// None: the orders of other producers, and those beyond the limits.
type ByRun = HashMap<Option<RunTag>, RunLatencies>;

/// The latencies of all intervals and runs.
#[derive(Default)]
pub struct AllLatencies {
    pub orders: Latencies,
    pub changes: Latencies,
}

/// The latencies of a run in an interval.
enum RunLatencies {
    Histograms(Box<StageHistograms>),
    /// Nanoseconds in each stage, by order.
    Kept(Vec<[i64; Stage::ALL.len()]>),
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
    /// Records the orders, or the changes, of a batch that was committed at `committed`: the due time of each, and when
    /// it was read.
    pub fn record(
        &self,
        kind: RecordKind,
        times: PreparationTimes,
        committed: SystemTime,
        records: impl Iterator<Item = (Due, SystemTime)>,
    ) {
        let mut records = records.peekable();
        if records.peek().is_none() {
            return;
        }
        let [dequeued, decoded, enriched, committed] =
            [times.dequeued, times.decoded, times.enriched, committed].map(nanos);
        let exported = Stage::ALL.map(|stage| ::metrics::histogram!(metrics::STAGE_SECONDS, "stage" => stage.name()));
        let total = match kind {
            RecordKind::Order => ::metrics::histogram!(metrics::DUE_TO_COMMIT_SECONDS),
            RecordKind::Change => ::metrics::histogram!(metrics::CHANGE_DUE_TO_COMMIT_SECONDS),
        };
        let mut interval = self.interval.lock().unwrap_or_else(PoisonError::into_inner);
        for (Due { nanos: due, run }, read) in records {
            let times = [due as i64, nanos(read), dequeued, decoded, enriched, committed];
            let stages: [i64; Stage::ALL.len()] = std::array::from_fn(|stage| times[stage + 1] - times[stage]);
            if kind == RecordKind::Order {
                exported.iter().zip(stages).for_each(|(exported, nanos)| exported.record(nanos as f64 / 1e9));
            }
            total.record((committed - due as i64) as f64 / 1e9);
            interval.record(kind, run, stages);
        }
    }

    /// Appends the interval to `log` at every whole second until `stop`, then once more. Returns the latencies of all
    /// intervals and runs.
    pub async fn log(self: Arc<Self>, mut log: Option<LatencyLog>, stop: CancellationToken) -> AllLatencies {
        let mut all = AllLatencies::default();
        let (mut last, mut since) = (false, Instant::now());
        while !last {
            last = tokio::time::timeout(until_interval_end(SystemTime::now()), stop.cancelled()).await.is_ok();
            let interval = std::mem::take(&mut *self.interval.lock().unwrap_or_else(PoisonError::into_inner));
            let length = std::mem::replace(&mut since, Instant::now()).elapsed();
            let kinds = [
                (RecordKind::Order, interval.orders, &mut all.orders),
                (RecordKind::Change, interval.changes, &mut all.changes),
            ];
            for (kind, by_run, all) in kinds {
                for (run, latencies) in by_run {
                    let histograms = latencies.into_histograms();
                    all.add(&histograms.total);
                    if let Some(Err(error)) = log.as_mut().map(|log| append(log, kind, run, length, &histograms)) {
                        tracing::warn!(%error, "latency log: writing failed; no further interval is logged");
                        log = None;
                    }
                }
            }
        }
        all
    }
}

impl Interval {
    fn record(&mut self, kind: RecordKind, run: Option<RunTag>, stages: [i64; Stage::ALL.len()]) {
        let runs = match kind {
            RecordKind::Order => &mut self.orders,
            RecordKind::Change => &mut self.changes,
        };
        let has_room = runs.contains_key(&run) || runs.len() < MAX_RUNS_PER_INTERVAL;
        let run = run.filter(|_| has_room);
        let full_histograms = &mut self.full_histograms;
        let latencies = runs.entry(run).or_insert_with(|| {
            if run.is_none() || *full_histograms < MAX_FULL_HISTOGRAMS {
                *full_histograms += 1;
                RunLatencies::Histograms(Box::default())
            } else {
                RunLatencies::Kept(Vec::new())
            }
        });
        match latencies {
            RunLatencies::Histograms(histograms) => histograms.record(stages),
            RunLatencies::Kept(orders) if self.kept_orders < MAX_KEPT_ORDERS => {
                orders.push(stages);
                self.kept_orders += 1;
            }
            RunLatencies::Kept(_) => self.record(kind, None, stages),
        }
    }
}

impl RunLatencies {
    fn into_histograms(self) -> Box<StageHistograms> {
        match self {
            Self::Histograms(histograms) => histograms,
            Self::Kept(orders) => {
                let longest = orders.iter().map(|stages| stages.iter().map(|nanos| (*nanos).max(0)).sum::<i64>()).max();
                let longest = Duration::from_nanos(longest.unwrap_or(0).cast_unsigned());
                let mut histograms = StageHistograms::up_to(longest);
                orders.into_iter().for_each(|stages| histograms.record(stages));
                Box::new(histograms)
            }
        }
    }
}

impl StageHistograms {
    fn up_to(longest: Duration) -> Self {
        Self { total: Latencies::up_to(longest), stages: Stage::ALL.map(|_| Latencies::up_to(longest)) }
    }

    fn record(&mut self, stages: [i64; Stage::ALL.len()]) {
        for (latencies, nanos) in self.stages.iter_mut().zip(stages) {
            latencies.record_nanos(nanos);
        }
        self.total.record_nanos(stages.iter().sum());
    }
}

fn append(
    log: &mut LatencyLog,
    kind: RecordKind,
    run: Option<RunTag>,
    length: Duration,
    histograms: &StageHistograms,
) -> std::io::Result<()> {
    let stages = Stage::ALL.into_iter().map(Stage::name).zip(&histograms.stages);
    for (name, latencies) in stages.chain([(DUE_TO_COMMIT, &histograms.total)]) {
        let name = match kind {
            RecordKind::Order => name.to_owned(),
            RecordKind::Change => change_series(name),
        };
        let series = run.map_or_else(|| name.clone(), |tag| run_series(&name, tag));
        log.append(&series, length, latencies)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use shared::latency::{change_due_to_commit, due_to_commit, merge_logs};

    use super::*;

    /// Records orders of `runs` runs, `orders` each, in one interval, and logs them in `folder`.
    async fn log_of(folder: &std::path::Path, runs: u64, orders: u64) {
        let recorder = Arc::new(LatencyRecorder::default());
        let second = UNIX_EPOCH + Duration::from_secs(1);
        let times = PreparationTimes { dequeued: second, decoded: second, enriched: second };
        for order in 0..orders {
            let due = |run| Due { nanos: 990_000_000 + order, run: Some(RunTag::near(0, run)) };
            recorder.record(RecordKind::Order, times, second, (0..runs).map(|run| (due(run), second)));
        }
        let stop = CancellationToken::new();
        stop.cancel();
        recorder.log(Some(LatencyLog::open(folder, "instance").unwrap()), stop).await;
    }

    #[tokio::test]
    async fn the_series_of_each_run_is_kept_however_many_runs_there_are_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        log_of(folder.path(), 100, 3).await;
        for run in 0..100 {
            let series = due_to_commit(RunTag::near(0, run));
            let latency = merge_logs(folder.path(), |name| name == series).unwrap().summary();
            assert_eq!(latency.count, 3, "run {run}");
            assert!((latency.p50 - 10.0).abs() < 0.02 && (latency.max - 10.0).abs() < 0.02, "run {run}: {latency:?}");
        }
    }

    #[tokio::test]
    async fn orders_beyond_the_limits_are_in_the_series_of_all_other_orders() {
        let folder = tempfile::tempdir().unwrap();
        let runs = MAX_RUNS_PER_INTERVAL as u64 + 10;
        log_of(folder.path(), runs, 2).await;
        let others = merge_logs(folder.path(), |name| name == DUE_TO_COMMIT).unwrap().summary();
        let all = merge_logs(folder.path(), |name| name.starts_with(DUE_TO_COMMIT)).unwrap().summary();
        assert_eq!((others.count, all.count), (20, runs * 2));
    }

    #[tokio::test]
    async fn changes_have_series_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let (recorder, tag) = (Arc::new(LatencyRecorder::default()), RunTag::near(0, 7));
        let second = UNIX_EPOCH + Duration::from_secs(1);
        let times = PreparationTimes { dequeued: second, decoded: second, enriched: second };
        let due = |nanos| (Due { nanos, run: Some(tag) }, second);
        recorder.record(RecordKind::Order, times, second, [due(990_000_000)].into_iter());
        recorder.record(RecordKind::Change, times, second, [due(970_000_000), due(980_000_000)].into_iter());
        let stop = CancellationToken::new();
        stop.cancel();
        let all = recorder.log(Some(LatencyLog::open(folder.path(), "instance").unwrap()), stop).await;
        assert_eq!((all.orders.count(), all.changes.count()), (1, 2));
        let count = |series: &str| merge_logs(folder.path(), |name| name == series).unwrap().summary().count;
        assert_eq!((count(&due_to_commit(tag)), count(&change_due_to_commit(tag))), (1, 2));
        assert_eq!(count(&format!("change_broker.{tag}")), 2);
    }

    #[test]
    fn the_latencies_that_are_kept_one_by_one_are_bounded() {
        let mut interval = Interval::default();
        for order in 0..(MAX_KEPT_ORDERS + 100) as u64 {
            let kind = if order % 2 == 0 { RecordKind::Order } else { RecordKind::Change };
            interval.record(kind, Some(RunTag::near(0, order % 12 / 2)), [1_000; Stage::ALL.len()]);
        }
        let kept = |latencies: &RunLatencies| match latencies {
            RunLatencies::Kept(orders) => orders.len(),
            RunLatencies::Histograms(_) => 0,
        };
        let runs = || interval.orders.values().chain(interval.changes.values());
        assert!(runs().map(kept).sum::<usize>() <= MAX_KEPT_ORDERS);
        let full = runs().filter(|latencies| matches!(latencies, RunLatencies::Histograms(_))).count();
        assert!(full <= MAX_FULL_HISTOGRAMS + 2, "{full} histograms of the full range");
        let all = interval.orders.into_values().chain(interval.changes.into_values());
        let all = all.map(|latencies| latencies.into_histograms().total.count()).sum::<u64>();
        assert_eq!(all, (MAX_KEPT_ORDERS + 100) as u64);
    }
}
