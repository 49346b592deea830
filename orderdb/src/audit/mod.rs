//! Compares a producer run with what arrived: acknowledged ⊆ topic ⊆ table ∪ dead letters.
//!
//! The orders are counted in three independent [`sources`]: the run's ledger, the topic ([`topic`]) and the table
//! ([`table`]), so that the report shows whether brokers or consumers lost an order. [`latency`] adds the latencies of
//! the orders. [`compare`] creates the [`report`] from the sources.

pub mod compare;
pub mod latency;
pub mod report;
pub mod sources;
pub mod table;
pub mod topic;

use shared::{
    database::DatabaseSettings,
    program::{Outcome, OutputFormat},
};

use self::report::AuditReport;
pub use self::sources::AuditInputs;
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

/// Reads the sources of a run and compares them.
///
/// # Errors
/// When the ledger, a topic, the table or a latency log can't be read.
pub async fn gather(inputs: AuditInputs, database: &DatabaseSettings) -> anyhow::Result<AuditReport> {
    Ok(compare::compare(sources::read_sources(inputs, database).await?))
}
