//! What a probe measured, in its steady part: from the end of its warm-up on.

use std::collections::BTreeMap;

use serde::Serialize;
use shared::{
    latency::{Latencies, LatencySummary},
    ledger::RunSummary,
};

use super::search::Probe;
use crate::{
    measure::{ProcessKind, Sample},
    report::model::ProcessFigures,
};

/// The measurements of a probe, before they are judged.
#[derive(Clone)]
pub struct ProbeFigures {
    pub probe: Probe,
    /// Seconds of the steady part; fewer than asked when the probe was stopped early.
    pub seconds: f64,
    /// Of the producer.
    pub summary: RunSummary,
    /// From due to acknowledged, of what was acknowledged in the steady part. Those in `summary` are of what was due in
    /// it: with a backlog, they are no part of `stored`.
    pub ack: LatencySummary,
    /// From due to stored, of what was stored in the steady part.
    pub stored: Latencies,
    /// Medians of the parts of `stored`, in milliseconds, by the name of the stage.
    pub stages: BTreeMap<&'static str, f64>,
    /// Records not stored yet, by seconds.
    pub lag: Vec<(f64, f64)>,
    /// The most orders that were enqueued and not acknowledged.
    pub max_in_flight: u64,
    /// Acknowledged orders that were not stored at the end of the wait for them.
    pub missing: u64,
    /// How the probe ended.
    pub end: ProbeEnd,
    /// What ended the probe early, when it was [`ProbeEnd::Overloaded`].
    pub backlog: Option<Backlog>,
    pub cpu: CpuByKind,
    /// Cores of the whole machine that were in use, by whatever program; `None` when the system does not tell.
    pub machine_cores: Option<f64>,
    pub processes: Vec<ProcessFigures>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeEnd {
    /// The schedule ended, and all orders were stored afterwards.
    Complete,
    /// The orders of some seconds were due and not stored, ever more of them: the schedule was stopped.
    Overloaded,
    /// The schedule ended, but not all orders were stored in the time that was left.
    NotDrained,
}

/// Orders that are due and not stored.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Backlog {
    /// Due and not acknowledged: they wait in the producer or in the brokers.
    pub unacknowledged: f64,
    /// In the topic and not stored: they wait for the consumers.
    pub lag: f64,
}

impl Backlog {
    pub fn total(self) -> f64 {
        self.unacknowledged + self.lag
    }
}

/// CPU by kind of process, in cores, averages of the steady part. That of a server is `None` when it is not measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct CpuByKind {
    pub producer: f64,
    pub brokers: Option<f64>,
    pub consumers: f64,
    pub postgres: Option<f64>,
    pub redis: Option<f64>,
    /// `loadtest` itself and the cache-worker.
    pub others: f64,
}

impl CpuByKind {
    /// The sums of `processes`, whose kinds are in a sample.
    pub fn new(processes: &[ProcessFigures], sample: &Sample) -> Self {
        let mut cpu = Self::default();
        for process in processes {
            let Some(known) = sample.processes.iter().find(|known| known.name == process.name) else { continue };
            let sum = match known.kind {
                ProcessKind::Producer => &mut cpu.producer,
                ProcessKind::Consumer => &mut cpu.consumers,
                ProcessKind::CacheWorker | ProcessKind::Loadtest => &mut cpu.others,
                ProcessKind::Broker => cpu.brokers.get_or_insert_default(),
                ProcessKind::Postgres => cpu.postgres.get_or_insert_default(),
                ProcessKind::Redis => cpu.redis.get_or_insert_default(),
            };
            *sum += process.cpu_cores;
        }
        cpu
    }

    /// Of what is measured.
    pub fn total(&self) -> f64 {
        self.by_name().into_iter().filter_map(|(_, cores)| cores).sum()
    }

    /// Whether the servers are among the processes that are measured.
    pub fn has_servers(&self) -> bool {
        self.brokers.is_some() && self.postgres.is_some()
    }

    /// In the order of the data.
    pub fn by_name(&self) -> [(&'static str, Option<f64>); 6] {
        [
            ("producer", Some(self.producer)),
            ("brokers", self.brokers),
            ("consumers", Some(self.consumers)),
            ("PostgreSQL", self.postgres),
            ("Redis", self.redis),
            ("others", Some(self.others)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::iter::zip;

    use super::*;
    use crate::measure::ProcessSample;

    #[test]
    fn processes_add_up_by_kind_and_a_server_that_is_not_measured_has_no_figure() {
        let kinds = [
            ("producer-1", ProcessKind::Producer),
            ("consumer-1", ProcessKind::Consumer),
            ("consumer-2", ProcessKind::Consumer),
            ("kafka-1", ProcessKind::Broker),
            ("kafka-2", ProcessKind::Broker),
            ("loadtest", ProcessKind::Loadtest),
        ];
        let process = |(name, kind): (&str, ProcessKind)| ProcessSample {
            name: name.to_owned(),
            kind,
            is_running: true,
            cpu_cores: 9.0,
            memory_bytes: 0,
            open_files: None,
        };
        let sample = Sample { processes: kinds.map(process).into(), ..Sample::default() };
        let figures = zip(kinds, [0.5, 0.25, 0.125, 0.75, 0.5, 0.0625]).map(|((name, _), cpu_cores)| ProcessFigures {
            name: name.to_owned(),
            cpu_cores,
            max_memory_bytes: 0,
            max_open_files: None,
        });
        let cpu = CpuByKind::new(&figures.collect::<Vec<_>>(), &sample);
        assert_eq!((cpu.producer, cpu.consumers, cpu.brokers, cpu.others), (0.5, 0.375, Some(1.25), 0.0625));
        assert!(!cpu.has_servers() && cpu.postgres.is_none());
        assert_eq!(cpu.total(), 2.1875);
    }
}
