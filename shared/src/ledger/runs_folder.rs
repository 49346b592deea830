use std::{
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use clap::Args;

use super::{
    contents::JournalContents,
    journal::{Journal, read_journal},
    run::{Run, RunSummary},
    run_id::RunId,
    shard::Shard,
};

const RUN: &str = "run.json";
const JOURNAL: &str = "acknowledged.journal";
const SUMMARY: &str = "summary.json";

/// The folder of all run ledgers.
#[derive(Clone, Debug, Args)]
pub struct RunsFolder {
    /// Folder of the run ledgers, with one folder per run.
    #[arg(long, env = "RUNS_DIR", default_value = "runs", value_name = "FOLDER", help_heading = "Run ledger")]
    pub runs_dir: PathBuf,
}

/// The ledger of one shard of a run.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// Its `run.json`.
    pub run: Run,
    /// Its journal: the results of its orders.
    pub journal: JournalContents,
    /// Its `summary.json`; `None` when the producer was killed or is still running.
    pub summary: Option<RunSummary>,
}

impl RunsFolder {
    /// Folder of a run.
    pub fn folder(&self, id: &RunId) -> PathBuf {
        self.runs_dir.join(id.to_string())
    }

    /// Folder of one shard of a run: the folder of the run, or `NUMBER-of-COUNT` in it when the run has several shards.
    pub fn shard_folder(&self, id: &RunId, shard: Shard) -> PathBuf {
        let folder = self.folder(id);
        if shard == Shard::SINGLE { folder } else { folder.join(shard.to_string().replace('/', "-of-")) }
    }

    /// Creates the folder of the shard, with `run.json` and an empty journal.
    ///
    /// # Errors
    /// When the shard's `run.json` exists already, or the folder can't be written.
    pub fn create(&self, run: &Run) -> anyhow::Result<Journal> {
        let folder = self.shard_folder(&run.run_id, run.shard);
        ensure!(!folder.join(RUN).exists(), "run {} exists already in {}", run.run_id, folder.display());
        let refused = || {
            format!(
                "the run ledger can't be created in {}: free some disk space, or choose another folder with --runs-dir",
                folder.display()
            )
        };
        std::fs::create_dir_all(&folder).with_context(refused)?;
        // A journal without `run.json` is left from a start that failed, such as on a full disk.
        std::fs::remove_file(folder.join(JOURNAL)).or_else(unless_missing).with_context(refused)?;
        let journal = Journal::create(&folder.join(JOURNAL)).with_context(refused)?;
        self.describe(run).with_context(refused)?;
        Ok(journal)
    }

    /// Whether a producer has created the ledger of the shard.
    pub fn has_ledger(&self, id: &RunId, shard: Shard) -> bool {
        self.shard_folder(id, shard).join(RUN).exists()
    }

    /// Opens the ledger of a shard whose producer was killed, to continue it.
    ///
    /// # Errors
    /// When the shard has no ledger or has ended, when its producer is still running, or when a file is damaged.
    pub fn reopen(&self, id: &RunId, shard: Shard) -> anyhow::Result<(Journal, Ledger)> {
        let folder = self.shard_folder(id, shard);
        ensure!(
            self.has_ledger(id, shard),
            "there is no ledger of run {id}, shard {shard}, in {}: check --run-id, --shard and --runs-dir",
            self.runs_dir.display()
        );
        let journal = Journal::reopen(&folder.join(JOURNAL))?;
        let ledger = read_ledger(id, &folder)?;
        ensure!(ledger.summary.is_none(), "run {id} has ended: {} exists", folder.join(SUMMARY).display());
        Ok((journal, ledger))
    }

    /// Writes `run.json` and replaces the one that exists.
    ///
    /// # Errors
    /// When the file can't be written, such as when the disk is full.
    pub fn describe(&self, run: &Run) -> anyhow::Result<()> {
        let path = self.shard_folder(&run.run_id, run.shard).join(RUN);
        write_atomically(&path, &serde_json::to_vec_pretty(run)?)
            .with_context(|| format!("the run ledger can't be written to {}", path.display()))
    }

    /// Writes `summary.json`.
    ///
    /// # Errors
    /// When the file can't be written, such as when the disk is full.
    pub fn finish(&self, summary: &RunSummary) -> anyhow::Result<()> {
        let path = self.shard_folder(&summary.run_id, summary.shard).join(SUMMARY);
        write_atomically(&path, &serde_json::to_vec_pretty(summary)?)
            .with_context(|| format!("the summary of the run can't be written to {}", path.display()))
    }

    /// Reads the ledgers of a run, one per shard, ordered by shard. The result is never empty. Whether the files of a
    /// ledger agree is told by [`Ledger::contradictions`].
    ///
    /// # Errors
    /// When the run does not exist, a ledger is damaged, a summary is that of another run, or the ledger of a shard is
    /// missing.
    pub fn read(&self, id: &RunId) -> anyhow::Result<Vec<Ledger>> {
        let folder = self.folder(id);
        let not_found = || format!("there is no run {id} in {}: check --runs-dir", self.runs_dir.display());
        if folder.join(RUN).exists() {
            return Ok(vec![read_ledger(id, &folder)?]);
        }
        let mut ledgers = Vec::new();
        for entry in std::fs::read_dir(&folder).with_context(not_found)? {
            let folder = entry?.path();
            if folder.join(RUN).exists() {
                ledgers.push(read_ledger(id, &folder)?);
            }
        }
        ledgers.sort_by_key(|ledger| ledger.run.shard);
        let first = ledgers.first().with_context(not_found)?.run.shard;
        let found: Vec<Shard> = ledgers.iter().map(|ledger| ledger.run.shard).collect();
        let missing = first.all().filter(|shard| !found.contains(shard));
        let missing: Vec<String> = missing.map(|shard| shard.to_string()).collect();
        ensure!(
            missing.is_empty() && found.len() as u64 == first.stride(),
            "run {id} is incomplete in {}: it has {} of {} ledgers, that of shard {} is missing",
            self.runs_dir.display(),
            found.len(),
            first.stride(),
            missing.join(", ")
        );
        Ok(ledgers)
    }
}

fn read_ledger(id: &RunId, folder: &Path) -> anyhow::Result<Ledger> {
    let damaged = |file: &str| format!("{} of run {id} is damaged", folder.join(file).display());
    let run = std::fs::read(folder.join(RUN)).with_context(|| format!("the ledger of run {id} can't be read"))?;
    let run: Run = serde_json::from_slice(&run).with_context(|| damaged(RUN))?;
    let journal = read_journal(&folder.join(JOURNAL))?;
    let summary: Option<RunSummary> = match std::fs::read(folder.join(SUMMARY)) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).with_context(|| damaged(SUMMARY))?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("the summary of run {id} can't be read")),
    };
    if let Some(RunSummary { run_id, shard, .. }) = &summary {
        ensure!(
            (run_id, *shard) == (&run.run_id, run.shard),
            "{} is that of run {run_id}, shard {shard}, but its ledger is that of run {}, shard {}",
            folder.join(SUMMARY).display(),
            run.run_id,
            run.shard
        );
    }
    Ok(Ledger { run, journal, summary })
}

fn unless_missing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// A reader finds either the old file or the complete new one.
fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    std::fs::write(&temporary, bytes)?;
    std::fs::File::open(&temporary)?.sync_all()?;
    std::fs::rename(&temporary, path)
}
