//! Checks the requirements of the user on the whole pipeline.

use std::path::Path;

use anyhow::Context;
use orderdb::audit::report::AuditReport;
use shared::{
    latency::{Latencies, due_to_commit, merge_logs},
    ledger::{RunId, RunSummary, RunsFolder},
    requirement::{Metric, Percentile, Requirement, RequirementResult},
};

/// What the producer does not measure.
pub struct StoredFigures<'a> {
    pub audit: &'a AuditReport,
    pub duplicates: u64,
    /// From due to stored.
    pub latencies: Latencies,
}

impl StoredFigures<'_> {
    /// The percentile in milliseconds; `None` unless the logs have every stored order.
    fn stored(&self, percentile: Option<Percentile>) -> Option<f64> {
        let is_complete = self.audit.latency_coverage.is_some_and(|share| share >= 1.0);
        self.latencies.at_quantile(percentile?.quantile()).filter(|_| is_complete)
    }
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
    let result = |requirement: &Requirement| {
        let measured = match requirement.metric() {
            Metric::Stored => figures.stored(requirement.percentile()),
            Metric::Altered => Some(figures.audit.altered as f64),
            Metric::Conflicting => Some(figures.audit.conflicting as f64),
            Metric::Missing => Some(figures.audit.missing as f64),
            Metric::Unexpected => Some(figures.audit.unexpected as f64),
            Metric::Duplicates => Some(figures.duplicates as f64),
            Metric::DeadLetters => Some(figures.audit.dead_lettered as f64),
            // Only `loadtest run` takes samples, and only it accepts these.
            Metric::Lag | Metric::Recovery => None,
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
            | Metric::QueueFull => return of_producer.next().unwrap_or_else(|| requirement.check(None)),
        };
        requirement.check(measured)
    };
    requirements.iter().map(result).collect()
}
