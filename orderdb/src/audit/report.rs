//! The result of an audit, as JSON and as text.

use std::fmt;

use serde::Serialize;
use shared::{latency::LatencySummary, ledger::RunId, report::Report};

pub use super::latency::StageSummary;

/// The result of an audit. Numbers are counts of orders, except where documented otherwise.
#[derive(Clone, Debug, Serialize)]
pub struct AuditReport {
    pub run_id: RunId,
    /// Producers that shared the run.
    pub producers: usize,
    /// Whether each producer wrote its summary.
    pub finished: bool,
    /// Acknowledged by the brokers.
    pub acknowledged: u64,
    /// Reported by librdkafka as not persisted.
    pub failed: u64,
    pub in_topic: u64,
    /// Records in the topic beyond the first of their order.
    pub topic_repeats: u64,
    /// In the table.
    pub stored: u64,
    /// In the dead-letter topic.
    pub dead_lettered: u64,
    /// Of `dead_lettered`, those that are in the table: replayed later.
    pub replayed: u64,
    /// Made invalid on purpose, so they must be dead-lettered.
    pub invalid: u64,
    /// Of `invalid`, those that are in the table.
    pub invalid_stored: u64,
    /// Acknowledged, but not in the topic: lost by the brokers.
    pub missing_from_topic: u64,
    /// Acknowledged or in the topic, but neither stored nor dead-lettered: lost by the consumers, or not read yet.
    pub missing: u64,
    /// Stored, but not acknowledged.
    pub unexpected: u64,
    /// Of `unexpected`, those that the producer reported as failed or never sent.
    pub unexplained: u64,
    /// From due to stored, in milliseconds. `None` if the consumers' latency logs were not read.
    pub latency_ms: Option<LatencySummary>,
    /// The stages of `latency_ms`, in order.
    pub stages_ms: Vec<StageSummary>,
}

impl AuditReport {
    /// Whether no order is missing, and none is in the table that must not be there.
    pub fn is_balanced(&self) -> bool {
        self.missing == 0 && self.missing_from_topic == 0 && self.unexplained == 0 && self.invalid_stored == 0
    }

    fn add_counts(&self, report: &mut Report) {
        let ledgers = match self.producers {
            1 => "from the producer's ledger".to_owned(),
            producers => format!("from the ledgers of {producers} producers"),
        };
        report.line("acknowledged", self.acknowledged, format!("by the brokers, {ledgers}"));
        report.line("in the topic", self.in_topic, "");
        report.line("stored", self.stored, "in table orders");
        let invalid = match self.invalid {
            0 => String::new(),
            invalid => format!("{invalid} orders are invalid on purpose"),
        };
        report.line("dead-lettered", self.dead_lettered, invalid);
        if self.replayed > 0 {
            report.line("replayed", self.replayed, "dead-lettered, and stored later");
        }
        if self.invalid_stored > 0 {
            report.line("invalid, stored", self.invalid_stored, "invalid on purpose, but in the table");
        }
        report.line("repeats", self.topic_repeats, "records in the topic beyond the first of their order");
        report.line("missing from topic", self.missing_from_topic, "acknowledged, but not in the topic");
        report.line("missing", self.missing, "neither stored nor dead-lettered");
        report.line("unexpected", self.unexpected, "stored, but not acknowledged");
        report.line(
            "unexplained",
            self.unexplained,
            "unexpected, and the producer reported them as failed or never sent them",
        );
    }
}

impl fmt::Display for AuditReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut report = Report::about("audit of run", &self.run_id.to_string());
        self.add_counts(&mut report);
        if let Some(latency) = &self.latency_ms {
            report.line("in latency logs", latency.count, "stored orders whose latency is known");
            report.latency("due to stored", latency);
            add_stages(&mut report, &self.stages_ms);
        }
        let verdict = match (self.is_balanced(), self.finished) {
            (true, true) => "balanced",
            (true, false) => "balanced, unfinished",
            (false, _) => "NOT BALANCED",
        };
        report.line("verdict", verdict, if self.finished { "" } else { "a producer has not written its summary" });
        report.fmt(f)
    }
}

/// Adds a row per stage to the table of latencies.
pub fn add_stages(report: &mut Report, stages: &[StageSummary]) {
    for StageSummary { stage, latency } in stages {
        report.latency(&format!("  {stage}"), latency);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_fits_80_columns_and_has_a_row_of_percentiles_per_stage() {
        let latency = LatencySummary { count: 9_000_000, p50: 4.25, p999: 123_456.789, ..LatencySummary::default() };
        let report = AuditReport {
            run_id: "20261121-075223-e1f74c".parse().unwrap(),
            producers: 4,
            finished: false,
            acknowledged: 123_456_789,
            failed: 1,
            in_topic: 123_456_789,
            topic_repeats: 1,
            stored: 123_456_789,
            dead_lettered: 1,
            replayed: 1,
            invalid: 1,
            invalid_stored: 1,
            missing_from_topic: 1,
            missing: 1,
            unexpected: 1,
            unexplained: 1,
            latency_ms: Some(latency),
            stages_ms: vec![StageSummary { stage: "insert", latency }],
        };
        let text = report.to_string();
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        for name in ["due to stored", "  insert"] {
            let row = text.lines().find(|line| line.contains(name)).unwrap();
            assert!(row.contains("4.250") && row.contains("123456.789"), "{text}");
        }
    }
}
