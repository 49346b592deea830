use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context, ensure};
use chrono::{DateTime, Utc};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::{
    journal::{Journal, JournalContents, read_journal},
    shard::Shard,
};
use crate::{latency::LatencySummary, order_id::RunTag};

/// Where run ledgers are kept.
#[derive(Clone, Debug, Args)]
pub struct RunsDirectory {
    /// Folder of the run ledgers, one folder a run.
    #[arg(long, env = "RUNS_DIR", default_value = "runs", value_name = "FOLDER", help_heading = "Run ledger")]
    pub runs_dir: PathBuf,
}

/// Names a run, and its folder: the time it began and its tag, such as `20261121-093000-a1b2c3`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

/// The text can't name a run's folder.
#[derive(Debug, thiserror::Error)]
#[error("a run id has 1 to 64 letters, digits, '-', '_' or '.', and does not begin with '.'")]
pub struct InvalidRunId;

impl RunId {
    /// The id of a run that begins at `started_at` under `tag`.
    pub fn new(started_at: DateTime<Utc>, tag: RunTag) -> Self {
        Self(format!("{}-{tag}", started_at.format("%Y%m%d-%H%M%S")))
    }

    /// The tag of `shard`'s orders, the same each time; those of a run's shards differ.
    pub fn tag(&self, shard: Shard) -> RunTag {
        RunTag::near(crc32fast::hash(self.0.as_bytes()), shard.first())
    }

    /// A number that stands for the name, for whatever is to be drawn at random but the same again.
    pub fn seed(&self) -> u64 {
        u64::from(crc32fast::hash(self.0.as_bytes()))
    }
}

impl FromStr for RunId {
    type Err = InvalidRunId;

    fn from_str(text: &str) -> Result<Self, InvalidRunId> {
        let usable = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let valid = (1..=64).contains(&text.len()) && text.chars().all(usable) && !text.starts_with('.');
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidRunId) }
    }
}

impl TryFrom<String> for RunId {
    type Error = InvalidRunId;

    fn try_from(text: String) -> Result<Self, InvalidRunId> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who, when and how, of one producer: written before the first order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// The run's name.
    pub run_id: RunId,
    /// Which of the run's producers this is.
    #[serde(default, alias = "instance")]
    pub shard: Shard,
    /// Marks the orders.
    pub tag: RunTag,
    /// When its first order is due.
    pub started_at: DateTime<Utc>,
    /// The topic that it writes to.
    pub topic: String,
    /// Whether the orders are dated otherwise than they were sent, so that no latency can be told from their dates.
    #[serde(default)]
    pub backdated: bool,
    /// What it was asked for, as given; no secrets.
    pub settings: BTreeMap<String, String>,
}

/// What became of orders: `scheduled = enqueued + skipped`, `enqueued = acknowledged + failed + unknown`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Orders that the schedule made due.
    pub scheduled: u64,
    /// Too far behind the schedule to be caught up, and never sent.
    pub skipped: u64,
    /// Handed to the client library.
    pub enqueued: u64,
    /// Of the enqueued, those that were made invalid on purpose: they are to end as dead letters.
    #[serde(default)]
    pub invalid: u64,
    /// Acknowledged by the brokers.
    pub acknowledged: u64,
    /// Surely not in the log.
    pub failed: u64,
    /// May be in the log or not.
    pub unknown: u64,
}

/// What a run's figures are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// All that was scheduled was acknowledged, at the rate asked, in time.
    Valid,
    /// The producer itself missed its rate or its lateness bound: too little CPU, most likely.
    GeneratorLimited,
    /// The brokers took orders more slowly than the schedule made them due.
    BrokerLimited,
    /// Orders failed, or nobody knows what became of them.
    Lossy,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Valid => "valid",
            Self::GeneratorLimited => "generator-limited",
            Self::BrokerLimited => "broker-limited",
            Self::Lossy => "lossy",
        })
    }
}

impl RunSummary {
    /// Orders, those of the warm-up as well, that may be in the log although nobody acknowledged them.
    pub fn unknown(&self) -> u64 {
        self.counts.unknown + self.warm_up.unknown
    }
}

/// How a run ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunSummary {
    /// The run's name.
    pub run_id: RunId,
    /// Which of the run's producers this is.
    #[serde(default, alias = "instance")]
    pub shard: Shard,
    /// Orders a second that were asked for, over the whole schedule; none when it was as many as possible.
    pub rate_asked: Option<f64>,
    /// Orders a second that were acknowledged: over the schedule's length and how late its last order was sent, or
    /// acknowledged if that was more than a hiccup later. Without a schedule, until the last acknowledgement.
    pub rate_achieved: f64,
    /// Seconds from the first due time, after the warm-up, to the last acknowledgement.
    pub seconds: f64,
    /// What became of the orders, those of the warm-up not counted.
    #[serde(flatten)]
    pub counts: Counts,
    /// What became of the orders of the warm-up.
    pub warm_up: Counts,
    /// Failed orders by the client library's name for the error.
    pub errors: BTreeMap<String, u64>,
    /// Times that the client's queue was full; the orders waited and are late, not lost.
    pub queue_full: u64,
    /// Enqueued − due, in milliseconds, without the warm-up.
    pub lateness_ms: LatencySummary,
    /// Acknowledged − due, in milliseconds, without the warm-up.
    pub acknowledgement_ms: LatencySummary,
    /// Acknowledged − enqueued, in milliseconds, without the warm-up.
    #[serde(default)]
    pub round_trip_ms: LatencySummary,
    /// What the figures are worth.
    pub verdict: Verdict,
}

/// What is known of one producer's part of a run.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// Who, when and how.
    pub run: Run,
    /// What became of its orders.
    pub journal: JournalContents,
    /// How it ended; a killed one has none.
    pub summary: Option<RunSummary>,
}

impl RunsDirectory {
    /// The folder of one run.
    pub fn folder(&self, id: &RunId) -> PathBuf {
        self.runs_dir.join(&id.0)
    }

    /// The folder of one producer's part of a run: the run's own, or one in it where several share the run.
    pub fn shard_folder(&self, id: &RunId, shard: Shard) -> PathBuf {
        let folder = self.folder(id);
        if shard == Shard::SINGLE { folder } else { folder.join(shard.to_string().replace('/', "-of-")) }
    }

    /// Makes the producer's folder with `run.json` and an empty journal in it.
    ///
    /// # Errors
    /// When the run exists already, or the folder can't be written.
    pub fn create(&self, run: &Run) -> anyhow::Result<Journal> {
        let folder = self.shard_folder(&run.run_id, run.shard);
        ensure!(!folder.join(RUN).exists(), "run {} exists already in {}", run.run_id, folder.display());
        let refused = || {
            format!(
                "the run ledger can't be kept in {}: free some space there or choose another --runs-dir",
                folder.display()
            )
        };
        std::fs::create_dir_all(&folder).with_context(refused)?;
        // One without `run.json` is what a full disk left of a start that did not happen.
        std::fs::remove_file(folder.join(JOURNAL)).or_else(unless_missing).with_context(refused)?;
        let journal = Journal::create(&folder.join(JOURNAL)).with_context(refused)?;
        self.describe(run).with_context(refused)?;
        Ok(journal)
    }

    /// Writes `run.json`, over that of before.
    ///
    /// # Errors
    /// When the disk takes no more.
    pub fn describe(&self, run: &Run) -> anyhow::Result<()> {
        let path = self.shard_folder(&run.run_id, run.shard).join(RUN);
        write_atomically(&path, &serde_json::to_vec_pretty(run)?)
            .with_context(|| format!("the run ledger can't be kept in {}", path.display()))
    }

    /// Writes `summary.json`.
    ///
    /// # Errors
    /// When the disk takes no more.
    pub fn finish(&self, summary: &RunSummary) -> anyhow::Result<()> {
        let path = self.shard_folder(&summary.run_id, summary.shard).join(SUMMARY);
        write_atomically(&path, &serde_json::to_vec_pretty(summary)?)
            .with_context(|| format!("the run's summary can't be written to {}", path.display()))
    }

    /// Reads what is known of a run: one ledger a producer, in their order. There is at least one.
    ///
    /// # Errors
    /// When there is no such run here, one of its ledgers is damaged, or that of a shard is not here.
    pub fn read(&self, id: &RunId) -> anyhow::Result<Vec<Ledger>> {
        let folder = self.folder(id);
        let nothing = || format!("no run {id} in {}: is --runs-dir right?", self.runs_dir.display());
        if folder.join(RUN).exists() {
            return Ok(vec![read_ledger(id, &folder)?]);
        }
        let mut ledgers = Vec::new();
        for entry in std::fs::read_dir(&folder).with_context(nothing)? {
            let folder = entry?.path();
            if folder.join(RUN).exists() {
                ledgers.push(read_ledger(id, &folder)?);
            }
        }
        ledgers.sort_by_key(|ledger| ledger.run.shard);
        let first = ledgers.first().with_context(nothing)?.run.shard;
        let here: Vec<Shard> = ledgers.iter().map(|ledger| ledger.run.shard).collect();
        let missing = first.all().filter(|shard| !here.contains(shard));
        let missing: Vec<String> = missing.map(|shard| shard.to_string()).collect();
        ensure!(
            missing.is_empty() && here.len() as u64 == first.stride(),
            "run {id} is not whole in {}: {} producers left a ledger, that of shard {} is missing",
            self.runs_dir.display(),
            here.len(),
            missing.join(", ")
        );
        Ok(ledgers)
    }
}

const RUN: &str = "run.json";
const JOURNAL: &str = "acknowledged.journal";
const SUMMARY: &str = "summary.json";

fn read_ledger(id: &RunId, folder: &Path) -> anyhow::Result<Ledger> {
    let run = std::fs::read(folder.join(RUN)).with_context(|| format!("the ledger of run {id} can't be read"))?;
    let run = serde_json::from_slice(&run).with_context(|| format!("the ledger of run {id} is damaged"))?;
    let journal = read_journal(&folder.join(JOURNAL))?;
    let summary = match std::fs::read(folder.join(SUMMARY)) {
        Ok(bytes) => {
            Some(serde_json::from_slice(&bytes).with_context(|| format!("the summary of run {id} is damaged"))?)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).context("the run's summary can't be read"),
    };
    Ok(Ledger { run, journal, summary })
}

fn unless_missing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// Readers see the old file or the whole new one.
fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    std::fs::write(&temporary, bytes)?;
    std::fs::File::open(&temporary)?.sync_all()?;
    std::fs::rename(&temporary, path)
}
