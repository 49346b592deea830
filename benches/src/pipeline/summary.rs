//! The summary of a pipeline run, as JSON and as tables.

use std::fmt;

use orderdb::audit::report::{AuditReport, StageSummary};
use serde::Serialize;
use shared::{
    latency::LatencySummary,
    ledger::{RunId, RunSummary, Verdict},
    report::{Report, table},
};

use super::stored_rows::StoredRow;

/// Producer, consumers and audit of one run.
#[derive(Clone, Debug, Serialize)]
pub struct PipelineSummary {
    pub run_id: RunId,
    /// Target rate in orders per second; `None` for a run without a rate.
    pub rate_asked: Option<f64>,
    /// Acknowledged orders per second.
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
    pub producer_verdict: Verdict,
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
            producer_verdict: run.verdict,
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

    /// The columns that the consumers fill in. With the order id they take exactly 80 columns.
    fn sample_table(&self) -> comfy_table::Table {
        let mut rows = table(["order", "category", "region", "gender", "age"]);
        for row in &self.sample {
            rows.add_row([&row.order_id, &row.category, &row.user_region, &row.user_gender, &row.user_age_group]);
        }
        rows
    }

    fn report(&self) -> Report {
        let mut report = Report::about("run", &self.run_id.to_string());
        let deviation =
            |target: f64| format!("target {target}/s, {:+.3} %", (self.rate_achieved / target - 1.0) * 100.0);
        let rate = format!("{:.2}/s", self.rate_achieved);
        report.line("rate achieved", rate, self.rate_asked.map_or_else(String::new, deviation));
        report.line("acknowledged", self.acknowledged, "by the brokers");
        report.line("stored", self.stored, format!("in the table, by {} consumers", self.consumers));
        report.line("duplicates", self.duplicates, "in the table already, dropped");
        report.line("dead-lettered", self.dead_lettered, "in the dead-letter topic");
        report.line("missing", self.missing, "neither stored nor dead-lettered");
        report.line("unexpected", self.unexpected, "stored, but not acknowledged");
        let (verdict, reason) = match self.verdict {
            PipelineVerdict::Valid => ("valid", ""),
            PipelineVerdict::ProducerInvalid => ("NOT VALID", reason_of(self.producer_verdict)),
            PipelineVerdict::Unbalanced => ("NOT VALID", "the counts do not balance"),
        };
        report.line("verdict", verdict, reason);
        report.latency("due to sent", &self.lateness_ms);
        report.latency("due to acknowledged", &self.acknowledgement_ms);
        report.latency("due to stored", &self.latency_ms);
        for StageSummary { stage, latency } in &self.stages_ms {
            report.latency(&format!("  {stage}"), latency);
        }
        report
    }
}

fn reason_of(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Valid => "",
        Verdict::GeneratorLimited => "generator-limited: the producer itself missed its rate",
        Verdict::BrokerLimited => {
            "broker-limited: the brokers were too slow; if they have just started, use --warm-up 20s"
        }
        Verdict::Lossy => "lossy: orders failed, or their outcome is unknown",
    }
}

impl fmt::Display for PipelineSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.sample_table(), self.report())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hangul takes two columns of a terminal.
    fn width(line: &str) -> usize {
        line.chars().map(|character| if ('가'..='힣').contains(&character) { 2 } else { 1 }).sum()
    }

    #[test]
    fn a_summary_fits_a_terminal_of_80_columns_with_a_row_per_order_and_its_latencies_in_columns() {
        let row = |n: u32| StoredRow {
            order_id: format!("01a1fe98-1769-7bb7-a168-eb40{n:08x}"),
            user_id: "U00000614".to_owned(),
            product_id: "P000262".to_owned(),
            quantity: 1,
            total_amount: 318_400,
            category: "가구인테리어".to_owned(),
            user_region: "강원".to_owned(),
            user_gender: "M".to_owned(),
            user_age_group: "30대".to_owned(),
            created_at: chrono::DateTime::UNIX_EPOCH,
        };
        let latency = LatencySummary { p50: 3.647, p99: 123_456.789, max: 123_456.789, ..LatencySummary::default() };
        let summary = PipelineSummary {
            run_id: "20261121-145222-85a3ad".parse().unwrap(),
            rate_asked: Some(1_000.0),
            rate_achieved: 999.99,
            acknowledged: 30_000,
            stored: 30_000,
            duplicates: 0,
            dead_lettered: 0,
            missing: 0,
            unexpected: 0,
            verdict: PipelineVerdict::ProducerInvalid,
            producer_verdict: Verdict::BrokerLimited,
            latency_ms: latency,
            stages_ms: vec![StageSummary { stage: "broker", latency }],
            lateness_ms: latency,
            acknowledgement_ms: latency,
            consumers: 3,
            sample: (0..5).map(row).collect(),
        };
        let text = summary.to_string();
        assert!(text.lines().all(|line| width(line) <= 80), "{text}");
        for n in 0..5 {
            let order = text.lines().find(|line| line.contains(&row(n).order_id)).unwrap();
            assert!(order.contains("가구인테리어") && order.contains("30대"), "{text}");
        }
        let stage = text.lines().find(|line| line.contains("  broker")).unwrap();
        assert!(stage.contains("3.647") && stage.contains("123456.789"), "{text}");
    }
}
