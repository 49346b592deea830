//! Holds a producer run against what arrived: acknowledged ⊆ topic ⊆ table ∪ dead letters.
//!
//! Three counts, each from its own source, so that a loss names its side: the run's ledger, the topic ([`log`]) and the
//! table ([`table`]); [`report`] compares them.

pub mod log;
pub mod report;
pub mod table;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use chrono::{TimeDelta, Utc};
use shared::{
    database::{DatabaseSettings, connect},
    kafka::KafkaSettings,
    latency::{LatencySummary, Stage, due_to_commit, merge_logs, run_series},
    ledger::{Ledger, RunId, RunsDirectory},
    order_id::RunTag,
    program::{Outcome, OutputFormat},
};

use self::report::{AuditReport, Evidence, StageSummary, Way};
use crate::settings::AuditSettings;

/// Clocks of producer and brokers may differ by this much.
const CLOCK_DIFFERENCE: TimeDelta = TimeDelta::seconds(60);

/// Which run, and where its traces are.
pub struct AuditInputs {
    /// The run.
    pub run_id: RunId,
    /// Where the ledgers are.
    pub runs: RunsDirectory,
    /// Where the consumers' latency logs are.
    pub stats_dir: Option<PathBuf>,
    /// The cluster.
    pub kafka: KafkaSettings,
    /// Where the dead letters are.
    pub dead_letter_topic: String,
}

/// Audits a run, prints the report, and says whether everything is where it must be.
///
/// # Errors
/// When the ledger, the topic or the table can't be read.
pub async fn audit(settings: AuditSettings, database: &DatabaseSettings) -> anyhow::Result<Outcome> {
    let AuditSettings { run_id, runs, stats_dir, kafka, topic, output } = settings;
    let inputs = AuditInputs { run_id, runs, stats_dir, kafka, dead_letter_topic: topic.dead_letter_topic() };
    let report = gather(inputs, database).await?;
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
pub async fn gather(inputs: AuditInputs, database: &DatabaseSettings) -> anyhow::Result<AuditReport> {
    let ledgers = inputs.runs.read(&inputs.run_id)?;
    let tags: Vec<RunTag> = ledgers.iter().map(|ledger| ledger.run.tag).collect();
    let topic = one_topic(&ledgers)?;
    let from = ledgers.iter().map(|ledger| ledger.run.started_at).min().unwrap_or_default();
    let client = connect(database).await?;
    let stored = table::stored_sequences(&client, &tags, from, Utc::now().max(from) + CLOCK_DIFFERENCE).await?;
    let dated = ledgers.iter().all(|ledger| !ledger.run.backdated);
    let latency = inputs.stats_dir.as_deref().filter(|_| dated).map(|folder| way_of(&tags, folder)).transpose()?;
    let (in_topic, dead_lettered) = tokio::task::spawn_blocking(move || {
        let from = from - CLOCK_DIFFERENCE;
        let orders = log::sequences(&inputs.kafka, &topic, &tags, from)?;
        let dead_letters = log::sequences(&inputs.kafka, &inputs.dead_letter_topic, &tags, from)?;
        anyhow::Ok((orders, dead_letters))
    })
    .await??;
    Ok(AuditReport::compare(Evidence { run_id: inputs.run_id, ledgers, in_topic, dead_lettered, stored, latency }))
}

fn one_topic(ledgers: &[Ledger]) -> anyhow::Result<String> {
    let topic = ledgers.first().context("a run has at least one ledger")?.run.topic.clone();
    let other = ledgers.iter().find(|ledger| ledger.run.topic != topic);
    match other {
        Some(other) => bail!("the run's producers wrote to several topics, {topic} and {}", other.run.topic),
        None => Ok(topic),
    }
}

/// From due to commit, of the run's own orders.
fn way_of(tags: &[RunTag], folder: &Path) -> anyhow::Result<Way> {
    let whole = latency_of(tags, folder, due_to_commit)?;
    let stage = |stage: Stage| {
        let latency = latency_of(tags, folder, |tag| run_series(stage.name(), tag))?;
        Ok(StageSummary { stage: stage.name(), latency })
    };
    Ok(Way { whole, stages: Stage::ALL.into_iter().map(stage).collect::<anyhow::Result<_>>()? })
}

fn latency_of(tags: &[RunTag], folder: &Path, series: impl Fn(RunTag) -> String) -> anyhow::Result<LatencySummary> {
    let series: Vec<String> = tags.iter().map(|tag| series(*tag)).collect();
    let merged = merge_logs(folder, |name| series.iter().any(|series| series == name));
    Ok(merged.with_context(|| format!("the latency logs in {} can't be read", folder.display()))?.summary())
}
