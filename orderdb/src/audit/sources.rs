//! Reads the sources of an audit: the run's ledger, the topic, the dead-letter topic, the table and the latency logs.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use shared::{
    database::{DatabaseSettings, connect},
    kafka::{KafkaSettings, dead_letter_topic},
    ledger::{Ledger, RunId, RunsFolder},
    order_id::RunTag,
};

use super::{
    altered_columns::name_columns,
    dead_letters::{RunDeadLetters, read_dead_letters},
    deleted_records::read_beginnings,
    digest::Digester,
    latency::{RunLatencies, read_latency_logs},
    recorded_numbers::{RecordedNumbers, read_numbers},
    table::{self, Comparison, StoredOrders},
    topic::{self, MAX_CLOCK_DIFFERENCE, TopicRecords},
};

/// The run to audit, and where its sources are.
pub struct AuditInputs {
    pub run_id: RunId,
    /// Where the ledgers are.
    pub runs: RunsFolder,
    /// Where the consumers' latency logs are.
    pub stats_dir: Option<PathBuf>,
    pub kafka: KafkaSettings,
}

/// What ledger, topics and table have of a run.
pub struct AuditSources {
    pub run_id: RunId,
    /// One per producer.
    pub ledgers: Vec<Ledger>,
    pub in_topic: TopicRecords,
    /// First offset of each partition that may have lost records of the run.
    pub beginnings: BTreeMap<i32, i64>,
    /// What has a record when the table is read, if the run may go on: rows may be newer than `in_topic`.
    pub recorded_later: RecordedNumbers,
    pub dead_lettered: RunDeadLetters,
    pub stored: StoredOrders,
    /// `None` without a folder of latency logs, and for a backdated run.
    pub latency: Option<RunLatencies>,
}

/// What the topics have of a run.
struct Topics {
    in_topic: TopicRecords,
    beginnings: BTreeMap<i32, i64>,
    dead_lettered: RunDeadLetters,
}

/// Reads all sources.
///
/// # Errors
/// When the ledger, a topic, the table or a latency log can't be read.
pub async fn read_sources(inputs: AuditInputs, database: &DatabaseSettings) -> anyhow::Result<AuditSources> {
    let AuditInputs { run_id, runs, stats_dir, kafka } = inputs;
    let ledgers = runs.read(&run_id)?;
    let tags: Vec<RunTag> = ledgers.iter().map(|ledger| ledger.run.tag).collect();
    let topic = common_topic(&ledgers)?;
    let from = ledgers.iter().map(|ledger| ledger.run.started_at).min().unwrap_or_default();
    let client = connect(database).await?;
    let digester = Digester::default();
    // The topics first: their digests take some 12 bytes per order and change, the rows are then compared as they arrive.
    let reading = (kafka.clone(), topic.clone(), tags.clone(), digester.clone());
    let topics = tokio::task::spawn_blocking(move || {
        let (kafka, topic, tags, digester) = reading;
        read_topics(&kafka, &topic, &tags, from - MAX_CLOCK_DIFFERENCE, &digester)
    });
    let Topics { in_topic, beginnings, dead_lettered } = topics.await??;
    let comparison = Comparison { topic: &in_topic, dead_lettered: &dead_lettered, digester: &digester };
    let until = Utc::now().max(from) + MAX_CLOCK_DIFFERENCE;
    let mut stored = table::read_orders(&client, &tags, from, until, &comparison).await?;
    // Orders of a backdated run are due in the past, so their latencies have no meaning.
    let backdated = ledgers.iter().any(|ledger| ledger.run.backdated);
    let latency_logs = stats_dir.as_deref().filter(|_| !backdated);
    let latency = latency_logs.map(|folder| read_latency_logs(&tags, folder)).transpose()?;
    let is_newer = stored.without_record > 0 || stored.changes.without_record > 0;
    let may_go_on = is_newer && ledgers.iter().any(|ledger| ledger.summary.is_none());
    let reading_again = tokio::task::spawn_blocking(move || {
        name_columns(&kafka, &topic, &tags, &mut stored.sample)?;
        let later = may_go_on.then(|| read_numbers(&kafka, &topic, &tags, from - MAX_CLOCK_DIFFERENCE)).transpose()?;
        anyhow::Ok((stored, later.unwrap_or_default()))
    });
    let (stored, recorded_later) = reading_again.await??;
    Ok(AuditSources { run_id, ledgers, in_topic, beginnings, recorded_later, dead_lettered, stored, latency })
}

fn read_topics(
    kafka: &KafkaSettings,
    topic: &str,
    tags: &[RunTag],
    from: DateTime<Utc>,
    digester: &Digester,
) -> anyhow::Result<Topics> {
    let in_topic = topic::read_records(kafka, topic, tags, from, digester)?;
    // After the records, so that a record which is deleted meanwhile counts as deleted.
    let beginnings = read_beginnings(kafka, topic, from)?;
    let dead_lettered = read_dead_letters(kafka, &dead_letter_topic(topic), tags, from)?;
    Ok(Topics { in_topic, beginnings, dead_lettered })
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
