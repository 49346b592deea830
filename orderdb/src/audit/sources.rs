//! Reads the sources of an audit: the run's ledger, the topic, the dead-letter topic, the table and the latency logs.

use std::path::PathBuf;

use anyhow::{Context, bail};
use chrono::{TimeDelta, Utc};
use roaring::RoaringTreemap;
use shared::{
    database::{DatabaseSettings, connect},
    kafka::KafkaSettings,
    ledger::{Ledger, RunId, RunsFolder},
    order_id::RunTag,
};

use super::{
    latency::{LatencyReport, read_latency_logs},
    table,
    topic::{self, TopicSequences},
};

/// Maximum difference between the clocks of producer and brokers.
const MAX_CLOCK_DIFFERENCE: TimeDelta = TimeDelta::seconds(60);

/// The run to audit, and where its sources are.
pub struct AuditInputs {
    pub run_id: RunId,
    /// Where the ledgers are.
    pub runs: RunsFolder,
    /// Where the consumers' latency logs are.
    pub stats_dir: Option<PathBuf>,
    pub kafka: KafkaSettings,
    pub dead_letter_topic: String,
}

/// What ledger, topics and table have of a run.
pub struct AuditSources {
    pub run_id: RunId,
    /// One per producer.
    pub ledgers: Vec<Ledger>,
    pub in_topic: TopicSequences,
    pub dead_lettered: TopicSequences,
    /// Sequences of the orders in the table.
    pub stored: RoaringTreemap,
    /// `None` without a folder of latency logs, and for a backdated run.
    pub latency: Option<LatencyReport>,
}

/// Reads all sources.
///
/// # Errors
/// When the ledger, a topic, the table or a latency log can't be read.
pub async fn read_sources(inputs: AuditInputs, database: &DatabaseSettings) -> anyhow::Result<AuditSources> {
    let ledgers = inputs.runs.read(&inputs.run_id)?;
    let tags: Vec<RunTag> = ledgers.iter().map(|ledger| ledger.run.tag).collect();
    let topic = common_topic(&ledgers)?;
    let from = ledgers.iter().map(|ledger| ledger.run.started_at).min().unwrap_or_default();
    let client = connect(database).await?;
    let until = Utc::now().max(from) + MAX_CLOCK_DIFFERENCE;
    let stored = table::read_sequences(&client, &tags, from, until).await?;
    // Orders of a backdated run are due in the past, so their latencies have no meaning.
    let backdated = ledgers.iter().any(|ledger| ledger.run.backdated);
    let latency_logs = inputs.stats_dir.as_deref().filter(|_| !backdated);
    let latency = latency_logs.map(|folder| read_latency_logs(&tags, folder)).transpose()?;
    let (in_topic, dead_lettered) = tokio::task::spawn_blocking(move || {
        let from = from - MAX_CLOCK_DIFFERENCE;
        let in_topic = topic::read_sequences(&inputs.kafka, &topic, &tags, from)?;
        let dead_lettered = topic::read_sequences(&inputs.kafka, &inputs.dead_letter_topic, &tags, from)?;
        anyhow::Ok((in_topic, dead_lettered))
    })
    .await??;
    Ok(AuditSources { run_id: inputs.run_id, ledgers, in_topic, dead_lettered, stored, latency })
}

/// The topic that all producers of the run wrote to.
fn common_topic(ledgers: &[Ledger]) -> anyhow::Result<String> {
    let topic = ledgers.first().context("the run has no ledger")?.run.topic.clone();
    let other = ledgers.iter().find(|ledger| ledger.run.topic != topic);
    match other {
        Some(other) => bail!("the run's producers wrote to several topics, {topic} and {}", other.run.topic),
        None => Ok(topic),
    }
}
