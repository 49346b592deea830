//! Compares a producer run with what arrived: acknowledged ⊆ topic ⊆ table ∪ dead letters.
//!
//! The orders are counted in independent [`sources`]: the run's ledger, the [`topic`] and its [`dead_letters`], and the
//! [`table`], so that the report shows whether brokers or consumers lost an order. Each row is compared with its record
//! by a digest of its [`order_fields`], kept [`by_sequence`] while the table is streamed, and with its user and product
//! by the query; [`altered_columns`] names what differs. [`deleted_records`] tells the records that retention removed,
//! [`recorded_numbers`] those that came while the table was read.
//! [`latency`] adds the latencies of the orders. [`compare`] creates the [`report`] from the sources.

pub mod altered_columns;
pub mod by_sequence;
pub mod causes;
pub mod change_fields;
pub mod changes_report;
pub mod compare;
pub mod compare_changes;
pub mod dead_letters;
pub mod deleted_records;
pub mod digest;
pub mod history;
pub mod latency;
pub mod order_fields;
pub mod recorded_numbers;
pub mod records;
pub mod report;
pub mod run_record;
pub mod sources;
pub mod stored_changes;
pub mod stored_latency;
pub mod table;
pub mod topic;

use shared::{
    database::DatabaseSettings,
    program::{Outcome, OutputFormat},
    telemetry::log_run_id,
};

use self::report::AuditReport;
pub use self::sources::AuditInputs;
use crate::settings::AuditSettings;

/// Audits a run and prints the report. The outcome is invalid when the report is not valid: an order is missing,
/// altered or unexplained, or dead-lettered though not invalid on purpose.
///
/// # Errors
/// As [`gather`].
pub async fn audit(settings: AuditSettings, database: &DatabaseSettings) -> anyhow::Result<Outcome> {
    let AuditSettings { run_id, runs, stats_dir, kafka, output } = settings;
    log_run_id(&run_id);
    let report = gather(AuditInputs { run_id, runs, stats_dir, kafka }, database).await?;
    match output {
        OutputFormat::Json => println!("{}", serde_json::to_string_pretty(&report)?),
        OutputFormat::Text => println!("{report}"),
    }
    Ok(if report.is_valid() { Outcome::Valid } else { Outcome::Invalid })
}

/// Reads the sources of a run and compares them.
///
/// # Errors
/// When the ledger, a topic, the table or a latency log can't be read.
pub async fn gather(inputs: AuditInputs, database: &DatabaseSettings) -> anyhow::Result<AuditReport> {
    Ok(compare::compare(sources::read_sources(inputs, database).await?))
}
