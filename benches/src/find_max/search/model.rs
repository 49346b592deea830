//! What a search is told, and what it answers.

use std::time::Duration;

use serde::Serialize;

#[derive(Clone, Copy, Debug)]
pub struct SearchSettings {
    /// Orders per second of the first probe.
    pub from: f64,
    /// The search stays between these rates.
    pub lowest: f64,
    pub highest: f64,
    /// The ratio of the ends of the last interval, minus 1.
    pub tolerance: f64,
    /// Lengths of a short and a full probe.
    pub short: Duration,
    pub full: Duration,
    /// Time for all probes.
    pub budget: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeLength {
    Short,
    Full,
}

/// What to run next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probe {
    pub rate: f64,
    pub length: ProbeLength,
}

/// Whether all requirements held at a rate, and how sure that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Held,
    /// It may hold when it is tried again: a stall of the machine looks like this.
    BrokeNarrowly,
    /// It can't hold: less was stored than was due, for seconds.
    Broke,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next {
    Probe(Probe),
    Done(SearchResult),
}

/// The probability that the highest rate that holds is in the [`Interval`].
pub const CERTAINTY: f64 = 0.9;

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SearchResult {
    pub end: SearchEnd,
    /// The highest rate that holds: a probe at this rate holds as often as it breaks. `None` when none held or none
    /// broke.
    pub rate: Option<f64>,
    pub interval: Interval,
    /// The highest rate of a probe that held. `None` when none did.
    pub highest_held: Option<f64>,
    /// The lowest rate of a probe that broke. `None` when none did.
    pub lowest_broken: Option<f64>,
}

/// The rates between which the highest one is, with a probability of [`CERTAINTY`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SearchEnd {
    /// The interval is as narrow as asked.
    Found,
    /// There is no time for another probe.
    BudgetSpent,
    /// The highest rate that is allowed holds.
    HighestHeld,
    /// The lowest rate that is allowed breaks.
    LowestBroke,
    /// The user stopped the search.
    Stopped,
    /// A program or a service failed.
    Failed,
}
