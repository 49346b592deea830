//! What a probe measured, in its steady part: from the end of its warm-up on.

use std::collections::BTreeMap;

use serde::Serialize;
use shared::{latency::Latencies, ledger::RunSummary};

use super::search::Probe;

/// The measurements of a probe, before they are judged.
#[derive(Clone)]
pub struct ProbeFigures {
    pub probe: Probe,
    /// Seconds of the steady part; fewer than asked when the probe was stopped early.
    pub seconds: f64,
    /// Of the producer.
    pub summary: RunSummary,
    /// From due to stored.
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
    pub cpu: CpuShares,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeEnd {
    /// The schedule ended, and all orders were stored afterwards.
    Complete,
    /// The lag was more than the orders of some seconds and still grew: the schedule was stopped.
    Overloaded,
    /// The schedule ended, but not all orders were stored in the time that was left.
    NotDrained,
}

/// CPU by kind of process, in cores, averages of the steady part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct CpuShares {
    pub producer: f64,
    pub brokers: f64,
    pub consumers: f64,
    pub postgres: f64,
    pub redis: f64,
    /// `loadtest` itself and the cache-worker.
    pub others: f64,
}

impl CpuShares {
    pub fn total(&self) -> f64 {
        self.producer + self.brokers + self.consumers + self.postgres + self.redis + self.others
    }
}
