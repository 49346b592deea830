//! The figures of a run that the ledgers, the audit and the latency logs have.

use std::path::Path;

use anyhow::Context;
use orderdb::audit::report::AuditReport;
use shared::{
    latency::{Latencies, merge_logs},
    ledger::{Counts, Ledger, RunSummary},
    requirement::{MeasuredBy, Metric, Percentile, Requirement, RequirementResult},
};

use crate::{pipeline::requirements::StoredFigures, report::model::RunCounts};

/// From enqueued to acknowledged, of all producers together, without the warm-up.
///
/// # Errors
/// When a log can't be read.
pub fn round_trips(stats_dir: &Path) -> anyhow::Result<Latencies> {
    merge_logs(stats_dir, |series| series == "enqueued_to_acknowledged")
        .context("the latency logs of the producers can't be read")
}

/// What the requirements of a run are compared with.
pub struct RunFigures<'a> {
    pub counts: &'a RunCounts,
    pub summaries: &'a [RunSummary],
    /// From due to enqueued, of the measured phases.
    pub sent: Latencies,
    /// From due to acknowledged, of the measured phases.
    pub acknowledged: Latencies,
    /// From enqueued to acknowledged.
    pub round_trips: Latencies,
    /// `None` without an audit.
    pub stored: Option<&'a StoredFigures<'a>>,
    /// In records; `None` when it was never known.
    pub max_lag: Option<u64>,
    /// In milliseconds; `None` when the pipeline did not recover from a fault.
    pub longest_recovery: Option<f64>,
}

impl RunFigures<'_> {
    pub fn check(&self, requirements: &[Requirement]) -> Vec<RequirementResult> {
        let measure = |requirement: &Requirement| match requirement.measured_by() {
            MeasuredBy::Producer => self.of_producers(requirement),
            MeasuredBy::Pipeline => self.stored?.measure(requirement),
            MeasuredBy::ScenarioRun => self.of_samples(requirement),
        };
        requirements.iter().map(|requirement| requirement.check(measure(requirement))).collect()
    }

    fn of_samples(&self, requirement: &Requirement) -> Option<f64> {
        match requirement.metric() {
            Metric::Lag => self.max_lag.map(|records| records as f64),
            Metric::Recovery => self.longest_recovery,
            _ => None,
        }
    }

    /// The figure of all producers: counts and rates add up; of stalls and tails, the longest counts.
    fn of_producers(&self, requirement: &Requirement) -> Option<f64> {
        let quantile = requirement.percentile().map(Percentile::quantile);
        let longest = |seconds: fn(&RunSummary) -> Option<f64>| {
            self.summaries.iter().filter_map(seconds).reduce(f64::max).map(|seconds| seconds * 1e3)
        };
        let sum = |figure: fn(&RunSummary) -> f64| {
            (!self.summaries.is_empty()).then(|| self.summaries.iter().map(figure).sum::<f64>())
        };
        let achieved = sum(|summary| summary.rate_achieved);
        let is_resumed = self.summaries.iter().any(|summary| summary.resumed_at.is_some());
        match requirement.metric() {
            Metric::Sent => self.sent.at_quantile(quantile?),
            Metric::Ack => self.acknowledged.at_quantile(quantile?),
            Metric::RoundTrip => self.round_trips.at_quantile(quantile?),
            // The summary of a resumed producer has only those after it was resumed.
            Metric::Stall | Metric::QueueFull if is_resumed => None,
            Metric::Stall => longest(|summary| Some(summary.stall.seconds)),
            Metric::Tail => longest(|summary| summary.tail_seconds),
            Metric::Rate => achieved,
            Metric::RateError => {
                let asked = sum(|summary| summary.rate_asked.unwrap_or_default()).filter(|rate| *rate > 0.0)?;
                Some((achieved? / asked - 1.0).abs() * 100.0)
            }
            Metric::Skipped => Some(self.counts.skipped as f64),
            Metric::Failed => Some(self.counts.failed as f64),
            Metric::Unknown => Some(self.counts.unknown as f64),
            Metric::QueueFull => sum(|summary| summary.queue_full as f64),
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
}

/// The orders of the whole run, those of the warm-up included. A shard whose producer was killed for good has no
/// summary; the journal tells what of it was acknowledged or failed.
pub fn counts(ledgers: &[Ledger], audit: Option<&AuditReport>, duplicates: u64, stored_twice: u64) -> RunCounts {
    let mut counts = RunCounts { duplicates, stored_twice, ..RunCounts::default() };
    for ledger in ledgers {
        match &ledger.summary {
            Some(summary) => [summary.counts, summary.warm_up].iter().for_each(|part| add(&mut counts, part)),
            None => {
                let (acknowledged, failed) = (ledger.journal.acknowledged.len(), ledger.journal.failed.len());
                add(
                    &mut counts,
                    &Counts { scheduled: acknowledged + failed, acknowledged, failed, ..Counts::default() },
                );
            }
        }
    }
    if let Some(audit) = audit {
        counts.stored = audit.stored;
        counts.dead_lettered = audit.dead_lettered;
        counts.missing = audit.missing + audit.expired_unstored;
        counts.altered = audit.altered;
    }
    counts
}

fn add(total: &mut RunCounts, part: &Counts) {
    total.scheduled += part.scheduled;
    total.skipped += part.skipped;
    total.acknowledged += part.acknowledged;
    total.failed += part.failed;
    total.unknown += part.unknown;
}
