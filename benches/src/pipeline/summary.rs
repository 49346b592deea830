//! What is told at the end of a run of the whole line.

use std::fmt;

use anyhow::Context;
use chrono::{DateTime, Utc};
use comfy_table::{Table, presets};
use orderdb::audit::report::{AuditReport, StageSummary, add_stages};
use serde::Serialize;
use shared::{
    database::{DatabaseSettings, connect},
    latency::LatencySummary,
    ledger::{RunId, RunSummary, RunsDirectory, Verdict},
    order_id::OrderId,
    report::Report,
};

/// A stored order, as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct StoredRow {
    order_id: String,
    user_id: String,
    product_id: String,
    quantity: i32,
    total_amount: i32,
    category: String,
    user_region: String,
    user_gender: String,
    user_age_group: String,
    created_at: DateTime<Utc>,
}

/// The first `count` rows of the run that are stored.
///
/// # Errors
/// When the ledger or the table can't be read.
pub async fn stored_rows(
    database: &DatabaseSettings,
    runs: &RunsDirectory,
    run_id: &RunId,
    count: i64,
) -> anyhow::Result<Vec<StoredRow>> {
    let ledgers = runs.read(run_id)?;
    let from = ledgers.iter().map(|ledger| ledger.run.started_at).min().unwrap_or_default();
    let range = OrderId::text_range(from, Utc::now());
    let query = "SELECT order_id, user_id, product_id, quantity, total_amount, category, user_region, user_gender, user_age_group, created_at \
                 FROM orders WHERE order_id BETWEEN $1 AND $2 ORDER BY order_id LIMIT $3";
    let client = connect(database).await?;
    let rows = client.query(query, &[range.start(), range.end(), &count]).await.context("the orders can't be read")?;
    let stored = rows.iter().map(|row| StoredRow {
        order_id: row.get(0),
        user_id: row.get(1),
        product_id: row.get(2),
        quantity: row.get(3),
        total_amount: row.get(4),
        category: row.get(5),
        user_region: row.get(6),
        user_gender: row.get(7),
        user_age_group: row.get(8),
        created_at: row.get(9),
    });
    Ok(stored.collect())
}

/// How a run of the whole line went.
#[derive(Clone, Debug, Serialize)]
pub struct PipelineSummary {
    /// The run.
    pub run_id: RunId,
    /// Orders a second that were asked for.
    pub rate_asked: Option<f64>,
    /// Orders a second that were sent.
    pub rate_achieved: f64,
    /// Orders that the brokers acknowledged.
    pub acknowledged: u64,
    /// Orders in the table.
    pub stored: u64,
    /// Records that the consumers found stored already, and dropped.
    pub duplicates: u64,
    /// Orders in the dead-letter topic.
    pub dead_lettered: u64,
    /// Orders acknowledged or in the topic that are neither stored nor dead-lettered.
    pub missing: u64,
    /// Orders stored that were not acknowledged.
    pub unexpected: u64,
    /// What all of this is worth.
    pub verdict: PipelineVerdict,
    /// From due to stored, in milliseconds.
    pub latency_ms: LatencySummary,
    /// The parts of it, in order.
    pub stages_ms: Vec<StageSummary>,
    /// From due to handed over, in milliseconds.
    pub lateness_ms: LatencySummary,
    /// From due to acknowledged, in milliseconds.
    pub acknowledgement_ms: LatencySummary,
    /// Consumers that shared the work.
    pub consumers: u16,
    /// The first few rows that were stored.
    pub sample: Vec<StoredRow>,
    /// Process ids of what was left running.
    #[serde(skip)]
    pub kept: Vec<String>,
}

/// What a run of the whole line is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PipelineVerdict {
    /// The rate was held, and every order is where it must be.
    Valid,
    /// The producer missed its rate, or did not get every order acknowledged.
    ProducerInvalid,
    /// An order is missing, or one is there that nothing explains.
    Unbalanced,
}

impl PipelineSummary {
    /// Puts together what the producer, the consumers and the audit say.
    pub fn new(
        run: RunSummary,
        audit: &AuditReport,
        duplicates: u64,
        sample: Vec<StoredRow>,
        consumers: u16,
        kept: Vec<String>,
    ) -> Self {
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
            kept,
        }
    }

    /// Whether the rate was held and every order is where it must be.
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
