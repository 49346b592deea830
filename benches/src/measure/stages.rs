//! Which series of the latency logs belong to a run, and to which stage.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use shared::{
    latency::{DUE_TO_COMMIT, Latencies, LatencySummary, Stage, change_series},
    ledger::{Run, RunId, RunsFolder},
    order_id::RunTag,
};

use super::model::LatencyPoint;

/// From due to enqueued.
pub const SENT: &str = "sent";
/// From due to acknowledged.
pub const ACK: &str = "ack";
/// From due to committed in the table.
pub const STORED: &str = "stored";
/// The same of changes of orders.
const CHANGE_SENT: &str = "change sent";
const CHANGE_ACK: &str = "change ack";
const CHANGE_STORED: &str = "change stored";

/// Latencies by stage.
pub type ByStage = BTreeMap<&'static str, Latencies>;

/// All stages in the order in which they are shown: those from the due time, of orders and of changes, then the parts
/// of `stored`.
pub fn stages() -> impl Iterator<Item = &'static str> {
    [SENT, ACK, STORED, CHANGE_SENT, CHANGE_ACK, CHANGE_STORED].into_iter().chain(Stage::ALL.map(Stage::name))
}

/// Merges `latencies` into those of `stage`.
pub fn merge(into: &mut ByStage, stage: &'static str, latencies: &Latencies) {
    into.entry(stage).or_default().add(latencies);
}

/// A point for each stage that has latencies, in the order of [`stages`].
pub fn points(latencies: &ByStage) -> Vec<LatencyPoint> {
    let point = |stage: &'static str| {
        let LatencySummary { count, p50, p99, max, .. } = latencies.get(stage)?.summary();
        (count > 0).then(|| LatencyPoint { stage: stage.to_owned(), count, p50, p99, max })
    };
    stages().filter_map(point).collect()
}

/// The tags of the orders of a run, one for each producer that has started.
pub struct RunTags {
    run_id: RunId,
    runs: RunsFolder,
    /// By `run.json`, whose other contents may change.
    tags: BTreeMap<PathBuf, RunTag>,
}

impl RunTags {
    pub fn new(run_id: RunId, runs: RunsFolder) -> Self {
        Self { run_id, runs, tags: BTreeMap::new() }
    }

    /// Adds the tags of the producers that have started since.
    pub fn refresh(&mut self) {
        let folder = self.runs.folder(&self.run_id);
        let shards = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
        for path in [folder].into_iter().chain(shards).map(|folder| folder.join("run.json")) {
            if !self.tags.contains_key(&path)
                && let Ok(bytes) = std::fs::read(&path)
                && let Ok(run) = serde_json::from_slice::<Run>(&bytes)
                && run.run_id == self.run_id
            {
                self.tags.insert(path, run.tag);
            }
        }
    }

    /// The tags that are known.
    pub fn filter(&self) -> StageFilter {
        let tags: BTreeSet<String> = self.tags.values().map(ToString::to_string).collect();
        StageFilter { producer_logs: tags.iter().map(|tag| format!("producer-{}-{tag}", self.run_id)).collect(), tags }
    }
}

/// Finds the stage of a series.
#[derive(Debug)]
pub struct StageFilter {
    producer_logs: BTreeSet<String>,
    tags: BTreeSet<String>,
}

impl StageFilter {
    /// The stage of `series` in `log`; `None` when it belongs to another run, or is none of the stages.
    pub fn stage(&self, log: &str, series: &str) -> Option<&'static str> {
        if let Some((series, tag)) = series.split_once('.') {
            let stage = if series == DUE_TO_COMMIT {
                STORED
            } else if series == change_series(DUE_TO_COMMIT) {
                CHANGE_STORED
            } else {
                Stage::ALL.map(Stage::name).into_iter().find(|name| *name == series)?
            };
            return self.tags.contains(tag).then_some(stage);
        }
        let stage = match series {
            "due_to_enqueued" => SENT,
            "due_to_acknowledged" => ACK,
            "change_due_to_enqueued" => CHANGE_SENT,
            "change_due_to_acknowledged" => CHANGE_ACK,
            _ => return None,
        };
        self.producer_logs.contains(log).then_some(stage)
    }
}

#[cfg(test)]
mod tests {
    use shared::{latency::due_to_commit, ledger::Shard};

    use super::*;

    #[test]
    fn only_the_series_of_the_run_have_a_stage() {
        let folder = tempfile::tempdir().unwrap();
        let runs = RunsFolder { runs_dir: folder.path().to_owned() };
        let (run_id, other): (RunId, RunId) = ("load-1".parse().unwrap(), "load-1-b".parse().unwrap());
        let mut tags = RunTags::new(run_id.clone(), runs.clone());
        tags.refresh();
        assert_eq!(tags.filter().tags.len(), 0, "no producer has started");
        let create = |run_id: &RunId, shard: &str, tag: RunTag| {
            let shard: Shard = shard.parse().unwrap();
            let (run_id, started_at) = (run_id.clone(), chrono::Utc::now());
            let settings = BTreeMap::new();
            let run = Run { run_id, shard, tag, started_at, topic: "orders".to_owned(), backdated: false, settings };
            runs.create(&run).unwrap();
        };
        let [first, second, third] = [1, 2, 3].map(|tag| RunTag::near(0, tag));
        create(&run_id, "1/2", first);
        create(&run_id, "2/2", second);
        create(&other, "1/1", third);
        tags.refresh();
        let filter = tags.filter();
        for tag in [first, second] {
            assert_eq!(filter.stage("consumer-1", &due_to_commit(tag)), Some(STORED));
            assert_eq!(filter.stage("consumer-1", &format!("insert.{tag}")), Some("insert"));
            assert_eq!(filter.stage(&format!("producer-load-1-{tag}"), "due_to_enqueued"), Some(SENT));
            assert_eq!(filter.stage(&format!("producer-load-1-{tag}"), "due_to_acknowledged"), Some(ACK));
        }
        assert_eq!(filter.stage("consumer-1", &due_to_commit(third)), None);
        assert_eq!(filter.stage("consumer-1", DUE_TO_COMMIT), None, "orders of other producers");
        assert_eq!(filter.stage(&format!("producer-load-1-b-{third}"), "due_to_enqueued"), None);
        assert_eq!(filter.stage(&format!("producer-load-1-{first}"), "enqueued_to_acknowledged"), None);
    }

    #[test]
    fn the_points_are_those_of_the_stages_with_latencies_in_their_order() {
        let mut latencies = ByStage::new();
        for (stage, millis) in [("insert", 4), (SENT, 1), (STORED, 9), (STORED, 7)] {
            let mut some = Latencies::default();
            some.record_nanos(millis * 1_000_000);
            merge(&mut latencies, stage, &some);
        }
        latencies.insert(ACK, Latencies::default());
        let points: Vec<_> = points(&latencies).into_iter().map(|it| (it.stage, it.count, it.max.round())).collect();
        let expected = [(SENT, 1, 1.0), (STORED, 2, 9.0), ("insert", 1, 4.0)];
        assert_eq!(points, expected.map(|(stage, count, max)| (stage.to_owned(), count, max)));
    }
}
