//! The summary of a pipeline run, as JSON and as tables.

use std::fmt;

use comfy_table::{Table, presets};
use orderdb::audit::report::add_stages;
use orderdb::audit::report::{AuditReport, StageSummary};
use serde::Serialize;
use shared::{
    latency::LatencySummary,
    ledger::{RunId, RunSummary, Verdict},
    report::Report,
};

use super::stored_rows::StoredRow;

/// Producer, consumers and audit of one run.
#[derive(Clone, Debug, Serialize)]
pub struct PipelineSummary {
    pub run_id: RunId,
    /// Orders a second that the run asked for; `None` for a run without a rate.
    pub rate_asked: Option<f64>,
    /// Orders a second that were acknowledged.
    pub rate_achieved: f64,
    /// Orders that the brokers acknowledged.
    pub acknowledged: u64,
    /// Orders in the table.
    pub stored: u64,
    /// Records that the consumers dropped because their order was in the table already.
    pub duplicates: u64,
    /// Orders in the dead-letter topic.
    pub dead_lettered: u64,
    /// Orders acknowledged or in the topic that are neither stored nor dead-lettered.
    pub missing: u64,
    /// Orders stored that were not acknowledged.
    pub unexpected: u64,
    pub verdict: PipelineVerdict,
    /// From due to stored, in milliseconds.
    pub latency_ms: LatencySummary,
    /// The stages of `latency_ms`, in order.
    pub stages_ms: Vec<StageSummary>,
    /// From due to sent, in milliseconds.
    pub lateness_ms: LatencySummary,
    /// From due to acknowledged, in milliseconds.
    pub acknowledgement_ms: LatencySummary,
    /// Consumers in the group.
    pub consumers: u16,
    /// The first rows that were stored.
    pub sample: Vec<StoredRow>,
}

/// Whether a run is valid, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PipelineVerdict {
    /// The rate was reached, and the audit is balanced.
    Valid,
    /// The producer missed its rate, or not every order was acknowledged.
    ProducerInvalid,
    /// An order is missing, or a stored order is unexplained.
    Unbalanced,
}

impl PipelineSummary {
    pub fn new(run: RunSummary, audit: &AuditReport, duplicates: u64, sample: Vec<StoredRow>, consumers: u16) -> Self {
        let verdict = match (audit.is_balanced(), run.verdict) {
            (false, _) => PipelineVerdict::Unbalanced,
            (true, Verdict::Valid) => PipelineVerdict::Valid,
            (true, _) => PipelineVerdict::ProducerInvalid,
        };
        Self {
            run_id: run.run_id,
            rate_asked: run.rate_asked,
            rate_achieved: run.rate_achieved,
            acknowledged: audit.acknowledged,
            stored: audit.stored,
            duplicates,
            dead_lettered: audit.dead_lettered,
            missing: audit.missing,
            unexpected: audit.unexpected,
            verdict,
            latency_ms: audit.latency_ms.unwrap_or_default(),
            stages_ms: audit.stages_ms.clone(),
            lateness_ms: run.lateness_ms,
            acknowledgement_ms: run.acknowledgement_ms,
            consumers,
            sample,
        }
    }

    pub fn is_valid(&self) -> bool {
        self.verdict == PipelineVerdict::Valid
    }
}

impl fmt::Display for PipelineSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = Table::new();
        rows.load_style(presets::UTF8_FULL_CONDENSED);
        rows.set_header([
            "order", "user", "product", "pieces", "won", "category", "region", "gender", "age", "created",
        ]);
        for row in &self.sample {
            rows.add_row([
                row.order_id.clone(),
                row.user_id.clone(),
                row.product_id.clone(),
                row.quantity.to_string(),
                row.total_amount.to_string(),
                row.category.clone(),
                row.user_region.clone(),
                row.user_gender.clone(),
                row.user_age_group.clone(),
                row.created_at.format("%H:%M:%S%.3f").to_string(),
            ]);
        }
        let mut report = Report::about("run", &self.run_id.to_string());
        let off = |asked: f64| format!("{asked}/s asked, {:+.3} %", (self.rate_achieved / asked - 1.0) * 100.0);
        let asked = self.rate_asked.map_or_else(String::new, off);
        report.line("rate", format!("{:.2}/s", self.rate_achieved), asked);
        report.line("acknowledged", self.acknowledged, "by the brokers");
        report.line("stored", self.stored, format!("in the table, by {} consumers", self.consumers));
        report.line("duplicates", self.duplicates, "in the table already when they came, and dropped");
        report.line("dead-lettered", self.dead_lettered, "in the dead-letter topic");
        report.line("missing", self.missing, "neither stored nor dead-lettered");
        report.line("unexpected", self.unexpected, "stored, but not acknowledged");
        let latency = &self.latency_ms;
        report.line(
            "schedule to table",
            format!("p50 {} ms", latency.p50),
            format!("p99 {} · max {} ms", latency.p99, latency.max),
        );
        add_stages(&mut report, &self.stages_ms);
        let verdict = match self.verdict {
            PipelineVerdict::Valid => "valid",
            PipelineVerdict::ProducerInvalid => "NOT VALID: the producer missed its rate or lost orders",
            PipelineVerdict::Unbalanced => "NOT VALID: the counts do not balance",
        };
        report.line("verdict", verdict, "");
        write!(f, "{rows}\n{report}")
    }
}
