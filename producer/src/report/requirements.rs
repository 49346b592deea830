//! Checks the requirements of the user.

use shared::{
    ledger::RunSummary,
    requirement::{Metric, Percentile, Requirement, RequirementResult},
};

use crate::send::tally::Tally;

/// Compares each requirement with the figures of the run: the percentiles are those of `tally`, which covers the whole
/// run.
pub fn check(requirements: &[Requirement], summary: &RunSummary, tally: &Tally) -> Vec<RequirementResult> {
    requirements.iter().map(|requirement| requirement.check(measured(requirement, summary, tally))).collect()
}

/// The figure in the unit of its metric; `None` when it was not measured.
fn measured(requirement: &Requirement, summary: &RunSummary, tally: &Tally) -> Option<f64> {
    let quantile = requirement.percentile().map(Percentile::quantile);
    let count = |count: u64| Some(count as f64);
    match requirement.metric() {
        Metric::Sent => tally.lateness.at_quantile(quantile?),
        Metric::Ack => tally.acknowledgement.at_quantile(quantile?),
        Metric::RoundTrip => tally.round_trip.at_quantile(quantile?),
        Metric::Stall => Some(summary.stall.seconds * 1e3),
        Metric::Tail => summary.tail_seconds.map(|seconds| seconds * 1e3),
        Metric::Rate => Some(summary.rate_achieved),
        Metric::RateError => summary.rate_asked.map(|target| (summary.rate_achieved / target - 1.0).abs() * 100.0),
        Metric::Skipped => count(summary.counts.skipped),
        Metric::Failed => count(summary.counts.failed),
        Metric::Unknown => count(summary.counts.unknown),
        Metric::QueueFull => count(summary.queue_full),
        Metric::Stored
        | Metric::Missing
        | Metric::Altered
        | Metric::Conflicting
        | Metric::Unexpected
        | Metric::Duplicates
        | Metric::DeadLetters
        | Metric::Lag
        | Metric::Recovery => None,
    }
}
