//! Whether runs are worse than a baseline.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    comparison::{Change, ComparedFigure, Comparison},
    figures::{Direction, Family},
};

/// The judgement of a gate.
#[derive(Clone, Debug, Serialize)]
pub struct GateReport {
    pub verdict: GateVerdict,
    /// How much worse a figure may get, in per cent.
    pub tolerance_percent: f64,
    /// Names of the figures that got worse, beyond the noise and the tolerance.
    pub worse: Vec<String>,
    /// Counts above 0 that must be 0, of the runs that are judged.
    pub violations: BTreeMap<String, u64>,
    /// A is the baseline, B the runs that are judged.
    pub comparison: Comparison,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GateVerdict {
    Passed,
    Worse,
    /// So few runs that no change of a key figure could be told: nothing is known.
    TooFewRuns,
}

impl GateReport {
    pub fn new(comparison: Comparison, tolerance_percent: f64) -> Self {
        let is_worse = |figure: &&ComparedFigure| {
            figure.change == Change::Worse && worse_by(figure).is_none_or(|percent| percent > tolerance_percent)
        };
        let worse: Vec<String> = comparison.figures.iter().filter(is_worse).map(|figure| figure.name.clone()).collect();
        let of_b = comparison.violations.iter().filter(|(name, _)| name.starts_with("B "));
        let violations: BTreeMap<String, u64> = of_b.map(|(name, count)| (name.clone(), *count)).collect();
        let undecided = |figure: &ComparedFigure| figure.family == Family::Key && figure.change == Change::TooFewRuns;
        let verdict = if !worse.is_empty() || !violations.is_empty() {
            GateVerdict::Worse
        } else if comparison.figures.iter().any(undecided) {
            GateVerdict::TooFewRuns
        } else {
            GateVerdict::Passed
        };
        Self { verdict, tolerance_percent, worse, violations, comparison }
    }
}

/// How much worse a figure is, in per cent of the baseline; `None` when its median there is 0, or a run did not recover.
fn worse_by(figure: &ComparedFigure) -> Option<f64> {
    let sign = if figure.better == Direction::Lower { 1.0 } else { -1.0 };
    figure.shift_percent.map(|percent| sign * percent)
}
