//! The latencies of a run after its end, from the merged logs of all its programs.

use std::{collections::BTreeMap, path::Path};

use chrono::{DateTime, Utc};
use shared::latency::{IntervalReader, Latencies};

use super::{
    model::LatencyPoint,
    schedule::Schedule,
    stages::{ByStage, RunTags, merge, points, stages},
};
use crate::report::model::StageLatencies;

/// The latencies of a run. One belongs to the second, and to the phase, in which it was recorded: when the order was
/// enqueued, acknowledged or committed, not when it was due.
#[derive(Default)]
pub struct RunLatencies {
    /// By the Unix time at which the second ends.
    seconds: BTreeMap<i64, Vec<LatencyPoint>>,
    /// By phase.
    phases: Vec<ByStage>,
    /// Why some latencies are missing: a log could not be read, or is damaged.
    pub damage: Option<String>,
}

impl RunLatencies {
    /// Reads the logs in `stats`, second by second: those of a long run are never in memory as a whole.
    pub fn read(stats: &Path, mut tags: RunTags, schedule: &Schedule) -> Self {
        tags.refresh();
        let (filter, mut reader) = (tags.filter(), IntervalReader::new(stats));
        let mut latencies = Self { phases: vec![ByStage::new(); schedule.phases.len()], ..Self::default() };
        let mut until = schedule.first_due.timestamp();
        loop {
            let mut second = ByStage::new();
            let end = DateTime::<Utc>::from_timestamp(until, 0).unwrap_or(DateTime::<Utc>::MAX_UTC);
            let read = reader.read_until(
                end,
                |log, series| filter.stage(log, series).is_some(),
                |interval| {
                    let Some(stage) = filter.stage(&interval.log, &interval.series) else { return };
                    merge(&mut second, stage, &interval.latencies);
                    if let Some(phase) = schedule.phase_at(schedule.seconds(interval.middle())) {
                        merge(&mut latencies.phases[phase], stage, &interval.latencies);
                    }
                },
            );
            latencies.note(read);
            let second = points(&second);
            if !second.is_empty() {
                latencies.seconds.insert(until, second);
            }
            let Some(next) = reader.next_middle() else { break };
            until = (until + 1).max(next.timestamp() + 1);
        }
        latencies.note(reader.check_end());
        latencies
    }

    fn note(&mut self, result: std::io::Result<()>) {
        if let Err(error) = result {
            self.damage.get_or_insert_with(|| format!("latencies are missing: {error}"));
        }
    }

    /// The latencies of the second that ends at the whole second before `at`; the figures of a sample taken then.
    pub fn second(&self, at: DateTime<Utc>) -> &[LatencyPoint] {
        self.seconds.get(&at.timestamp()).map_or(&[], Vec::as_slice)
    }

    /// The stages of which there are latencies, in their order.
    pub fn stages(&self) -> impl Iterator<Item = &'static str> {
        stages().filter(move |stage| self.phases.iter().any(|phase| phase.contains_key(stage)))
    }

    /// How many latencies of `stage` there are in all phases, those left out because of clock skew included.
    pub fn count(&self, stage: &str) -> u64 {
        let of_stage = self.phases.iter().filter_map(|phase| phase.get(stage));
        of_stage.map(|latencies| latencies.count() + latencies.summary().clock_skew).sum()
    }

    /// Those of one phase.
    pub(super) fn phase(&self, phase: usize) -> Option<&ByStage> {
        self.phases.get(phase)
    }

    /// Those of `stage` in all measured phases, for a requirement.
    pub fn measured(&self, schedule: &Schedule, stage: &str) -> Latencies {
        let mut all = Latencies::default();
        let measured = schedule.phases.iter().zip(&self.phases).filter(|(phase, _)| phase.measured);
        measured.filter_map(|(_, phase)| phase.get(stage)).for_each(|latencies| all.add(latencies));
        all
    }

    /// The whole distribution of each stage, over the measured phases.
    pub fn distributions(&self, schedule: &Schedule) -> Vec<StageLatencies> {
        let distribution = |stage: &'static str| {
            let latencies = self.measured(schedule, stage);
            let (summary, distribution) = (latencies.summary(), latencies.distribution());
            StageLatencies { stage: stage.to_owned(), summary, distribution }
        };
        self.stages().map(distribution).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use shared::{
        latency::{LatencyLog, due_to_commit},
        ledger::{Run, RunId, RunsFolder, Shard},
        order_id::RunTag,
    };

    use super::*;
    use crate::measure::schedule::PhaseTime;

    /// The log of a consumer with one order in each of three seconds from `start` on, of 10, 20 and 30 ms, each twice.
    fn log(stats: &Path, name: &str, series: &str, start: i64) {
        let mut log = LatencyLog::open(stats, name).unwrap();
        for millis in [10, 20, 30] {
            let mut latencies = Latencies::default();
            latencies.record_nanos(millis * 1_000_000);
            latencies.record_nanos(millis * 1_000_000);
            log.append(series, Duration::from_secs(1), &latencies).unwrap();
        }
        drop(log);
        let path = stats.join(format!("{name}.hlog"));
        let text = std::fs::read_to_string(&path).unwrap();
        let histograms =
            text.lines().filter(|line| line.starts_with("Tag=")).map(|line| line.rsplit_once(',').unwrap().1);
        let lines =
            histograms.zip(0..).map(|(histogram, second)| format!("Tag={series},{second}.003,0.999,1.0,{histogram}\n"));
        let header = format!(
            "#[StartTime: {start}.000 (seconds since epoch)]\n#[BaseTime: {start}.000 (seconds since epoch)]\n"
        );
        std::fs::write(path, header + &lines.collect::<String>()).unwrap();
    }

    #[test]
    fn latencies_are_merged_by_second_by_phase_and_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (runs, stats) = (RunsFolder { runs_dir: folder.path().join("runs") }, folder.path().join("stats"));
        let (run_id, tag): (RunId, _) = ("load-1".parse().unwrap(), RunTag::near(0, 7));
        let first_due = DateTime::from_timestamp(1_000, 0).unwrap();
        let settings = BTreeMap::new();
        let run = Run {
            run_id: run_id.clone(),
            shard: Shard::SINGLE,
            tag,
            started_at: first_due,
            topic: "orders".to_owned(),
            backdated: false,
            settings,
        };
        runs.create(&run).unwrap();
        log(&stats, "consumer-1", &due_to_commit(tag), 1_000);
        log(&stats, "consumer-2", &due_to_commit(tag), 1_001);
        log(&stats, "consumer-3", &due_to_commit(RunTag::near(0, 8)), 1_000);
        let phase = |name: &str, start, end, measured| PhaseTime {
            name: name.to_owned(),
            start,
            end,
            measured,
            asked_rate: 2.0,
        };
        let schedule =
            Schedule { first_due, phases: vec![phase("warm-up", 0.0, 1.0, false), phase("steady", 1.0, 3.0, true)] };
        let latencies = RunLatencies::read(&stats, RunTags::new(run_id, runs), &schedule);
        assert_eq!(latencies.damage, None);
        // A sample is taken some time after the end of its second.
        let second = |end: i64| {
            let points = latencies.second(DateTime::from_timestamp(end, 250_000_000).unwrap());
            points.iter().map(|it| (it.stage.as_str(), it.count, it.p50.round(), it.max.round())).collect::<Vec<_>>()
        };
        assert_eq!(second(1_000), []);
        assert_eq!(second(1_001), [("stored", 2, 10.0, 10.0)]);
        assert_eq!(second(1_002), [("stored", 4, 10.0, 20.0)]);
        assert_eq!(second(1_004), [("stored", 2, 30.0, 30.0)], "after the last phase");
        assert_eq!(latencies.stages().collect::<Vec<_>>(), ["stored"]);
        let distributions = latencies.distributions(&schedule);
        let [StageLatencies { summary, distribution, .. }] = &distributions[..] else { panic!("{distributions:?}") };
        assert_eq!((summary.count, summary.p50.round(), summary.max.round()), (10, 20.0, 30.0));
        assert_eq!(distribution.last(), Some(&(1.0, summary.max)));
        let first = latencies.phase(0).unwrap()["stored"].summary();
        assert_eq!((first.count, first.max.round()), (2, 10.0));
    }
}
