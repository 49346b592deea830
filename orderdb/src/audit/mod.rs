//! Holds a producer run against what arrived: acknowledged ⊆ topic ⊆ table ∪ dead letters.
//!
//! Three counts, each from its own source, so that a loss names its side: the run's ledger, the topic ([`log`]) and the
//! table ([`table`]); [`report`] compares them.

pub mod log;
pub mod report;
pub mod table;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use shared::{
    database::{DatabaseSettings, connect},
    latency::{DUE_TO_COMMIT, merge_logs},
    ledger::Run,
    program::{Outcome, OutputFormat},
};

use self::report::{AuditReport, Evidence};
use crate::settings::AuditSettings;

/// Clocks of producer and brokers may differ by this much.
const CLOCK_DIFFERENCE: TimeDelta = TimeDelta::seconds(60);

/// Audits a run, prints the report, and says whether everything is where it must be.
///
/// # Errors
/// When the ledger, the topic or the table can't be read.
pub async fn audit(settings: AuditSettings, database: &DatabaseSettings) -> anyhow::Result<Outcome> {
    let output = settings.output;
    let report = gather(settings, database).await?;
    match output {
        OutputFormat::Json => println!("{}", serde_json::to_string_pretty(&report)?),
        OutputFormat::Text => println!("{}", report.for_person()),
    }
    Ok(if report.is_balanced() { Outcome::Valid } else { Outcome::Invalid })
}

/// Counts three times and compares.
///
/// # Errors
/// When the ledger, the topic or the table can't be read.
pub async fn gather(settings: AuditSettings, database: &DatabaseSettings) -> anyhow::Result<AuditReport> {
    let (run, journal, summary) = settings.runs.read(&settings.run_id)?;
    let client = connect(database).await?;
    let stored = table::stored_sequences(&client, &run, until(&run)).await?;
    let (kafka, topic) = (settings.kafka, settings.topic);
    let scanned = run.clone();
    let (in_topic, dead_lettered) = tokio::task::spawn_blocking(move || {
        let from = scanned.started_at - CLOCK_DIFFERENCE;
        let orders = log::sequences(&kafka, &scanned.topic, scanned.tag, from)?;
        let dead_letters = log::sequences(&kafka, &topic.dead_letter_topic(), scanned.tag, from)?;
        anyhow::Ok((orders, dead_letters))
    })
    .await??;
    let latency = match &settings.stats_dir {
        Some(folder) => {
            let merged = merge_logs(folder, DUE_TO_COMMIT)
                .with_context(|| format!("the latency logs in {} can't be read", folder.display()))?;
            Some(merged.summary())
        }
        None => None,
    };
    Ok(AuditReport::compare(Evidence {
        run_id: run.run_id,
        journal,
        summary,
        in_topic,
        dead_lettered,
        stored,
        latency,
    }))
}

/// The last due time that an order of the run can have.
fn until(run: &Run) -> DateTime<Utc> {
    Utc::now().max(run.started_at) + CLOCK_DIFFERENCE
}
