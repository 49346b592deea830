//! The summary of a pipeline run, as JSON and as tables.

use std::{collections::BTreeMap, fmt};

use orderdb::audit::report::{AuditReport, ChangesReport, StageSummary, add_stored_latency, list_causes};
use producer::report::text::left_out;
use serde::Serialize;
use shared::{
    latency::LatencySummary,
    ledger::{ChangesSummary, Counts, RunId, RunSummary, StallSummary, Verdict},
    report::{Report, table},
    requirement::RequirementResult,
};

use super::stored_rows::StoredRow;

/// Producer, consumers and audit of one run.
#[derive(Clone, Debug, Serialize)]
pub struct PipelineSummary {
    pub run_id: RunId,
    /// Target rate in orders per second; `None` for a run without a rate.
    pub rate_asked: Option<f64>,
    /// Acknowledged orders per second, to the last acknowledgement.
    pub rate_achieved: f64,
    /// Seconds from the end of the schedule to the last acknowledgement.
    pub tail_seconds: Option<f64>,
    /// The longest time without an acknowledgement while orders were in flight.
    pub stall: StallSummary,
    /// The orders of the producer by result.
    pub producer: Counts,
    /// Orders that the brokers acknowledged.
    pub acknowledged: u64,
    /// Orders in the table.
    pub stored: u64,
    /// Records that the consumers dropped because their order was in the table already.
    pub duplicates: u64,
    /// Orders in the dead-letter topic.
    pub dead_lettered: u64,
    /// Of `dead_lettered`, those that are neither invalid on purpose nor stored later.
    pub unexpected_dead_letters: u64,
    /// `unexpected_dead_letters` by the kind of the reason.
    pub dead_letter_causes: BTreeMap<String, u64>,
    /// Orders acknowledged or in the topic that are neither stored nor dead-lettered.
    pub missing: u64,
    /// Rows that differ from their record, or from their user or product.
    pub altered: u64,
    /// Rows of which not everything could be compared.
    pub unchecked: u64,
    /// Orders stored that were not acknowledged.
    pub unexpected: u64,
    pub verdict: PipelineVerdict,
    pub producer_verdict: Verdict,
    /// From due to stored, in milliseconds.
    pub latency_ms: LatencySummary,
    /// The share of the stored orders that `latency_ms` is of, 0 to 1. `None` when nothing is stored.
    pub latency_coverage: Option<f64>,
    /// The stages of `latency_ms`, in order.
    pub stages_ms: Vec<StageSummary>,
    /// From due to sent, in milliseconds.
    pub lateness_ms: LatencySummary,
    /// From due to acknowledged, in milliseconds.
    pub acknowledgement_ms: LatencySummary,
    /// The changes of the orders, as the producer counts them; absent for orders that stay as they are placed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes_sent: Option<ChangesSummary>,
    /// The same, as the audit counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<ChangesReport>,
    /// The requirements of the user, and whether they are met.
    pub requirements: Vec<RequirementResult>,
    /// Consumers in the group.
    pub consumers: u16,
    /// The first rows that were stored.
    pub sample: Vec<StoredRow>,
}

/// Whether a run is valid, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PipelineVerdict {
    /// The rate was reached, and the audit is valid.
    Valid,
    /// The producer missed its rate, or not every order was acknowledged.
    ProducerInvalid,
    /// Orders are dead-lettered that are not invalid on purpose, or changes.
    DeadLettered,
    /// An order or a change is missing or altered, or a stored one is unexplained.
    Unbalanced,
    /// None of the above, but a figure does not meet a requirement of the user.
    RequirementNotMet,
}

impl PipelineSummary {
    pub fn new(
        run: RunSummary,
        audit: &AuditReport,
        requirements: Vec<RequirementResult>,
        duplicates: u64,
        sample: Vec<StoredRow>,
        consumers: u16,
    ) -> Self {
        let requirements_met = requirements.iter().all(|result| result.met);
        let verdict = match (audit.is_balanced(), audit.is_valid(), run.verdict) {
            (false, ..) => PipelineVerdict::Unbalanced,
            (true, false, _) => PipelineVerdict::DeadLettered,
            (true, true, Verdict::Valid | Verdict::RequirementNotMet) if requirements_met => PipelineVerdict::Valid,
            (true, true, Verdict::Valid | Verdict::RequirementNotMet) => PipelineVerdict::RequirementNotMet,
            (true, true, _) => PipelineVerdict::ProducerInvalid,
        };
        Self {
            run_id: run.run_id,
            rate_asked: run.rate_asked,
            rate_achieved: run.rate_achieved,
            tail_seconds: run.tail_seconds,
            stall: run.stall,
            producer: run.counts,
            acknowledged: audit.acknowledged,
            stored: audit.stored,
            duplicates,
            dead_lettered: audit.dead_lettered,
            unexpected_dead_letters: audit.unexpected_dead_letters,
            dead_letter_causes: audit.dead_letter_causes.clone(),
            missing: audit.missing + audit.expired_unstored,
            altered: audit.altered,
            unchecked: audit.unchecked,
            unexpected: audit.unexpected,
            verdict,
            producer_verdict: run.verdict,
            latency_ms: audit.latency_ms.unwrap_or_default(),
            latency_coverage: audit.latency_coverage,
            stages_ms: audit.stages_ms.clone(),
            lateness_ms: run.lateness_ms,
            acknowledgement_ms: run.acknowledgement_ms,
            changes_sent: run.changes,
            changes: audit.changes.clone(),
            requirements,
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
        report.tail(self.tail_seconds);
        report.stall(&self.stall);
        report.line("acknowledged", self.acknowledged, "by the brokers");
        report.line("stored", self.stored, format!("in the table, by {} consumers", self.consumers));
        report.line("duplicates", self.duplicates, "in the table already, dropped");
        report.line("dead-lettered", self.dead_lettered, "in the dead-letter topic");
        if self.unexpected_dead_letters > 0 {
            let causes = list_causes(&self.dead_letter_causes);
            report.line("unexpected dead letters", self.unexpected_dead_letters, causes);
        }
        report.line("missing", self.missing, "neither stored nor dead-lettered");
        report.line("altered", self.altered, "rows that differ from their record, user or product");
        if self.unchecked > 0 {
            report.line("unchecked", self.unchecked, "rows not fully compared: see orderdb audit");
        }
        report.line("unexpected", self.unexpected, "stored, but not acknowledged");
        self.add_changes(&mut report);
        self.requirements.iter().for_each(|result| report.requirement(result));
        let (verdict, reason) = match self.verdict {
            PipelineVerdict::Valid => ("valid", ""),
            PipelineVerdict::ProducerInvalid => ("NOT VALID", reason_of(self.producer_verdict)),
            PipelineVerdict::DeadLettered => {
                ("NOT VALID", "orders are dead-lettered that are not invalid on purpose, or changes")
            }
            PipelineVerdict::Unbalanced => ("NOT VALID", "the counts do not balance: orderdb audit has all of them"),
            PipelineVerdict::RequirementNotMet => ("NOT VALID", reason_of(Verdict::RequirementNotMet)),
        };
        report.line("verdict", verdict, reason);
        report.latency("due to sent", &self.lateness_ms);
        report.latency("due to acknowledged", &self.acknowledgement_ms);
        add_stored_latency(&mut report, &self.latency_ms, self.latency_coverage, &self.stages_ms);
        self.add_change_latencies(&mut report);
        left_out(&self.producer).iter().for_each(|orders| report.note(orders));
        report
    }

    fn add_changes(&self, report: &mut Report) {
        if let Some(ChangesSummary { scheduled, skipped, failed, unknown, .. }) = self.changes_sent {
            let left_out = format!("{skipped} of them skipped, {failed} failed, {unknown} unknown");
            report.line("changes scheduled", scheduled, left_out);
        }
        if let Some(changes) = &self.changes {
            changes.add_counts(report);
        }
    }

    fn add_change_latencies(&self, report: &mut Report) {
        if let Some(sent) = &self.changes_sent {
            report.latency("change due to sent", &sent.lateness_ms);
            report.latency("change due to acknowledged", &sent.acknowledgement_ms);
        }
        if let Some(changes) = &self.changes {
            changes.add_latency(report);
        }
    }
}

fn reason_of(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Valid => "",
        Verdict::GeneratorLimited => "generator-limited: the producer itself missed its rate",
        Verdict::BrokerLimited => {
            "broker-limited: the brokers were too slow; if they have just started, use --warm-up 1m"
        }
        Verdict::Lossy => "lossy: orders failed, or their outcome is unknown",
        Verdict::RequirementNotMet => "a requirement is not met",
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
            tail_seconds: Some(0.004),
            stall: StallSummary { seconds: 12.0341, start_seconds: 14.0, orders_due: Some(12_034) },
            producer: Counts { skipped: 7, ..Counts::default() },
            acknowledged: 30_000,
            stored: 30_000,
            duplicates: 0,
            dead_lettered: 123,
            unexpected_dead_letters: 123,
            dead_letter_causes: BTreeMap::from([("unknown_user".to_owned(), 120), ("malformed".to_owned(), 3)]),
            missing: 0,
            altered: 0,
            unchecked: 30_000,
            unexpected: 0,
            verdict: PipelineVerdict::ProducerInvalid,
            producer_verdict: Verdict::BrokerLimited,
            latency_ms: latency,
            latency_coverage: Some(0.25),
            stages_ms: vec![StageSummary { stage: "broker".into(), latency }],
            lateness_ms: latency,
            acknowledgement_ms: latency,
            changes_sent: Some(ChangesSummary {
                scheduled: 75_000,
                unknown: 7,
                lateness_ms: latency,
                ..ChangesSummary::default()
            }),
            changes: Some(ChangesReport {
                stored: 75_000,
                misplaced: 3,
                latency_ms: Some(LatencySummary { count: 75_000, ..latency }),
                ..ChangesReport::default()
            }),
            requirements: Vec::new(),
            consumers: 3,
            sample: (0..5).map(row).collect(),
        };
        let text = summary.to_string();
        assert!(text.lines().all(|line| width(line) <= 80), "{text}");
        for n in 0..5 {
            let order = text.lines().find(|line| line.contains(&row(n).order_id)).unwrap();
            assert!(order.contains("가구인테리어") && order.contains("30대"), "{text}");
        }
        assert!(text.contains("unknown_user") && text.contains("25.00 %"), "{text}");
        let unwrapped = text.replace(['│', '┆'], " ").split_whitespace().collect::<Vec<_>>().join(" ");
        for part in [
            "tail 0.004 s after the schedule, part of the rate",
            "stall 12.034 s without acknowledgement, 12034 orders due",
            "7 skipped orders are in none of the percentiles",
            "changes scheduled 75000 0 of them skipped, 0 failed, 7 unknown",
            "changes stored 75000 in table order_events",
            "changes out of place 3",
            "change due to stored 3.647",
        ] {
            assert!(unwrapped.contains(part), "{part}: {text}");
        }
        let stage = text.lines().find(|line| line.contains("  broker")).unwrap();
        assert!(stage.contains("3.647") && stage.contains("123456.789"), "{text}");
    }
}
