//! Checks the requirements of the user on the whole pipeline.

use std::path::Path;

use anyhow::Context;
use orderdb::audit::report::AuditReport;
use shared::{
    latency::{Latencies, due_to_commit, merge_logs},
    ledger::{RunId, RunSummary, RunsFolder},
    requirement::{MeasuredBy, Metric, Requirement, RequirementResult},
};

/// What the producer does not measure.
pub struct StoredFigures<'a> {
    pub audit: &'a AuditReport,
    pub duplicates: u64,
    /// From due to stored.
    pub latencies: Latencies,
}

impl StoredFigures<'_> {
    /// The figure of a requirement that [`MeasuredBy::Pipeline`] measures.
    pub fn measure(&self, requirement: &Requirement) -> Option<f64> {
        match requirement.metric() {
            Metric::Stored => self.stored(requirement.percentile()?.quantile()),
            Metric::Altered => Some(self.audit.altered as f64),
            Metric::Conflicting => Some(self.audit.conflicting as f64),
            Metric::Missing => Some(self.audit.missing as f64),
            Metric::Unexpected => Some(self.audit.unexpected as f64),
            Metric::Duplicates => Some(self.duplicates as f64),
            Metric::DeadLetters => Some(self.audit.dead_lettered as f64),
            Metric::Sent
            | Metric::Ack
            | Metric::RoundTrip
            | Metric::Stall
            | Metric::Tail
            | Metric::Rate
            | Metric::RateError
            | Metric::Skipped
            | Metric::Failed
            | Metric::Unknown
            | Metric::QueueFull
            | Metric::Lag
            | Metric::Recovery => None,
        }
    }

    /// The percentile in milliseconds. Each stored order that the logs lack, such as those of the last second of a
    /// consumer that was killed, counts as slower than all others; `None` when the percentile is one of them. All that
    /// the whole run lacks count, since it is not known of which phase they are.
    pub fn stored(&self, quantile: f64) -> Option<f64> {
        let lacking = self.audit.stored.saturating_sub(self.audit.latency_ms?.count);
        self.latencies.at_quantile(quantile_of_known(quantile, self.latencies.count(), lacking)?)
    }
}

/// The quantile among the `known` latencies that is `quantile` among all, when the `lacking` ones are the largest.
fn quantile_of_known(quantile: f64, known: u64, lacking: u64) -> Option<f64> {
    let of_known = quantile * (known + lacking) as f64 / known as f64;
    (of_known <= 1.0).then_some(of_known)
}

/// The latencies from due to stored of the run's orders alone, from the consumers' logs in `stats_dir`.
///
/// # Errors
/// When the ledger or a log can't be read.
pub fn stored_latencies(runs: &RunsFolder, run_id: &RunId, stats_dir: &Path) -> anyhow::Result<Latencies> {
    let series: Vec<String> = runs.read(run_id)?.iter().map(|ledger| due_to_commit(ledger.run.tag)).collect();
    merge_logs(stats_dir, |name| series.iter().any(|series| series == name)).context("the latency logs can't be read")
}

/// The results in the order of `requirements`. The producer has checked those that it measures.
pub fn check(requirements: &[Requirement], run: &RunSummary, figures: &StoredFigures<'_>) -> Vec<RequirementResult> {
    let mut of_producer = run.requirements.iter().cloned();
    let result = |requirement: &Requirement| match requirement.measured_by() {
        MeasuredBy::Producer => of_producer.next().unwrap_or_else(|| requirement.check(None)),
        MeasuredBy::Pipeline => requirement.check(figures.measure(requirement)),
        // Only `loadtest run` takes samples, and only it accepts these.
        MeasuredBy::ScenarioRun => requirement.check(None),
    };
    requirements.iter().map(result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_that_are_lacking_are_the_largest() {
        assert_eq!(quantile_of_known(0.99, 1_000, 0), Some(0.99));
        assert_eq!(quantile_of_known(0.5, 990, 10), Some(0.5 / 0.99));
        assert_eq!(quantile_of_known(0.99, 990, 10), Some(1.0));
        assert_eq!(quantile_of_known(0.99, 989, 11), None);
        assert_eq!(quantile_of_known(0.5, 0, 0), None, "none was measured");
    }
}
