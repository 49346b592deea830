//! Compares a producer run with what arrived: acknowledged ⊆ topic ⊆ table ∪ dead letters.
//!
//! The orders are counted three times, each time from a source of its own, so that a loss names its side: in the run's
//! ledger, in the topic ([`topic`]) and in the table ([`table`]). [`latency`] adds how long the orders took. All of it
//! is the [`evidence`]; [`compare`] makes the [`report`] of it.

pub mod compare;
pub mod evidence;
pub mod latency;
pub mod report;
pub mod table;
pub mod topic;

use shared::{
    database::DatabaseSettings,
    program::{Outcome, OutputFormat},
};

pub use self::evidence::AuditInputs;
use self::report::AuditReport;
use crate::settings::AuditSettings;

/// Audits a run and prints the report. The outcome is invalid when an order is missing or unexplained.
///
/// # Errors
/// As [`gather`].
pub async fn audit(settings: AuditSettings, database: &DatabaseSettings) -> anyhow::Result<Outcome> {
    let AuditSettings { run_id, runs, stats_dir, kafka, topic, output } = settings;
    let inputs = AuditInputs { run_id, runs, stats_dir, kafka, dead_letter_topic: topic.dead_letter_topic() };
    let report = gather(inputs, database).await?;
    match output {
        OutputFormat::Json => println!("{}", serde_json::to_string_pretty(&report)?),
        OutputFormat::Text => println!("{report}"),
    }
    Ok(if report.is_balanced() { Outcome::Valid } else { Outcome::Invalid })
}

/// Collects the evidence of a run and compares it.
///
/// # Errors
/// When the ledger, a topic, the table or a latency log can't be read.
pub async fn gather(inputs: AuditInputs, database: &DatabaseSettings) -> anyhow::Result<AuditReport> {
    Ok(compare::compare(evidence::collect(inputs, database).await?))
}
