//! The results of the probes of one rate, as votes.

use super::model::{Outcome, ProbeLength};

/// Probes of one rate after which the majority decides.
const MAX_REPEATS: usize = 3;

/// The probes of one rate.
#[derive(Clone, Debug)]
pub(super) struct RateResults {
    pub rate: f64,
    probes: usize,
    /// Sum of the votes: positive when the rate holds.
    score: i32,
}

impl RateResults {
    pub fn new(rate: f64) -> Self {
        Self { rate, probes: 0, score: 0 }
    }

    /// A probe that is short or narrow has one vote, another one two.
    pub fn vote(&mut self, outcome: Outcome, length: ProbeLength) {
        let votes = if outcome.is_narrow() || length == ProbeLength::Short { 1 } else { 2 };
        self.probes += 1;
        self.score += if outcome.held() { votes } else { -votes };
    }

    /// A tie counts as broken: the result must be a rate that holds.
    pub fn held(&self) -> bool {
        self.score > 0
    }

    pub fn is_open(&self) -> bool {
        self.score == 0 && self.probes < MAX_REPEATS
    }

    pub fn is_confirmed(&self) -> bool {
        self.score.abs() >= 2 || self.probes >= MAX_REPEATS
    }
}
