//! What a run reports to those who watch it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use clap::ValueEnum;
use tokio::sync::broadcast;

use crate::{measure::Sample, report::model::Event, scenario::Phase};

/// Observations that wait for a slow receiver. It then misses the oldest ones: a view never delays a run.
const CAPACITY: usize = 256;

/// Where a run sends what happens. Sending without a receiver is no error for the run: it ignores the result.
pub type Observations = broadcast::Sender<Observation>;

pub fn observations() -> Observations {
    broadcast::channel(CAPACITY).0
}

/// One thing that happened in a run, sent when it happens.
#[derive(Clone, Debug)]
pub enum Observation {
    /// The first one, once the run has its folder.
    Outline(Arc<Outline>),
    /// What the run does from now on, such as `starting the programs`, `load`, `waiting for the consumers`, `audit`.
    Step(String),
    /// One a second. The phase of the schedule follows from its time.
    Sample(Arc<Sample>),
    /// A program that started or ended, a failure.
    Event(Event),
    /// A fault has taken effect. `lasting` as in [`TimedFault`](crate::scenario::TimedFault).
    FaultBegan { fault: String, lasting: Option<Duration> },
    /// It is undone, and what was broken is ready again; or it could not begin or be undone, for the reason `error`.
    FaultEnded { fault: String, error: Option<String> },
}

/// What is known before a run begins.
#[derive(Clone, Debug, Default)]
pub struct Outline {
    /// Name of the scenario, or `pipeline`.
    pub title: String,
    pub run_id: String,
    /// The whole schedule.
    pub phases: Vec<Phase>,
    /// Folder of the programs' logs. While a view is on the screen, the log of `loadtest` is there too.
    pub logs: PathBuf,
}

/// Whether a run is shown on the whole screen of a terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ViewMode {
    /// On a terminal the full-screen view, else a line every few seconds.
    #[default]
    Auto,
    /// The full-screen view; an error without a terminal.
    Always,
    /// A line every few seconds.
    Never,
}
