use std::{path::PathBuf, time::Duration};

use serde::Serialize;
use shared::requirement::Requirement;

use crate::fault::{Fault, FaultKind};

/// A load test, checked: every fault has a target, every phase a length.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// File name without its extension.
    pub name: String,
    /// One or two sentences for the report and for `loadtest list`.
    pub description: String,
    pub load: Load,
    /// In the order in which they run; at least one of them is measured.
    pub phases: Vec<Phase>,
    /// Faults by their time. Those of `chaos` are among them.
    pub faults: Vec<TimedFault>,
    pub requirements: Vec<Requirement>,
    /// Whether more than one broker may be down at a time. A topic with three replicas requires two of them.
    pub several_brokers_down: bool,
    /// The file after all overrides, as TOML.
    pub text: String,
}

/// Programs and orders of a scenario.
#[derive(Clone, Debug)]
pub struct Load {
    /// Shards of the run.
    pub producers: u16,
    pub consumers: u16,
    /// `redis` or `builtin`, as `producer --source`. The cache-worker runs with both.
    pub source: String,
    /// Share of the orders that are invalid on purpose, 0 to 1.
    pub invalid: f64,
    /// What becomes of the orders; `None`: they keep the status that they were placed with.
    pub lifecycle: Option<Lifecycle>,
    /// Seed of the orders, the arrivals and the chaos.
    pub seed: u64,
}

/// What becomes of the orders after they were placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lifecycle {
    /// The file for the producer; `None` for its default.
    pub file: Option<PathBuf>,
    /// The time from an order to its last change.
    pub longest: Duration,
}

/// A part of the schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    pub name: String,
    /// Orders per second of all producers at the beginning; differs from `to` in a ramp.
    pub from: f64,
    /// Orders per second of all producers at the end.
    pub to: f64,
    pub duration: Duration,
    pub arrival: Arrival,
    /// Whether its orders count in the figures. Only the first phases may be without it: the warm-up.
    pub measured: bool,
}

/// The distribution of the due times of a phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrival {
    #[default]
    Constant,
    Poisson,
}

/// A fault and when it begins.
#[derive(Clone, Debug, PartialEq)]
pub struct TimedFault {
    /// Time after the first due time, warm-up included.
    pub at: Duration,
    /// How long it lasts; then it is undone. `None` for a fault without a duration, such as a restart.
    pub lasting: Option<Duration>,
    pub fault: Fault,
}

/// Faults at random, which a seed repeats.
#[derive(Clone, Debug, PartialEq)]
pub struct Chaos {
    /// Time between the ends and the beginnings of two faults, on average.
    pub every: Duration,
    /// Kinds that are drawn from; when empty, all but `fill-disk` and `skew-clock`.
    pub kinds: Vec<FaultKind>,
}
