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
    /// A figure was close to its limit.
    HeldNarrowly,
    /// It may hold when it is tried again: a stall of the machine looks like this.
    BrokeNarrowly,
    /// It can't hold: less was stored than was due, for seconds.
    Broke,
}

impl Outcome {
    pub fn held(self) -> bool {
        matches!(self, Self::Held | Self::HeldNarrowly)
    }

    pub(super) fn is_narrow(self) -> bool {
        matches!(self, Self::HeldNarrowly | Self::BrokeNarrowly)
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next {
    Probe(Probe),
    Done(SearchResult),
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SearchResult {
    pub end: SearchEnd,
    /// The highest rate that held. `None` when none did.
    pub highest_held: Option<f64>,
    /// Whether that is confirmed, and not the result of one short or narrow probe.
    pub is_confirmed: bool,
    /// The lowest rate that broke. `None` when none did.
    pub lowest_broken: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SearchEnd {
    /// The interval is as narrow as asked, and both its ends are confirmed.
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
