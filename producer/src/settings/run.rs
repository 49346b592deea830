use std::path::PathBuf;

use clap::Args;
use shared::ledger::{RunId, RunsFolder, Shard};

/// The name of the run, and where its ledger and logs are written.
#[derive(Clone, Debug, Args)]
pub struct RunSettings {
    #[command(flatten)]
    pub runs: RunsFolder,
    /// Name of the run. Without it, the name is made from the time and a random tag.
    #[arg(long, help_heading = "Run ledger")]
    pub run_id: Option<RunId>,
    /// Share the run with other producers: 2/4 is the second of four, and sends every fourth order of the whole rate or
    /// count. All of them need the same settings except for this one; the audit merges their ledgers.
    #[arg(
        long,
        alias = "instance",
        value_name = "NUMBER/OF",
        requires_all = ["run_id", "start_at"],
        help_heading = "Run ledger"
    )]
    pub shard: Option<Shard>,
    /// Continue the run of a producer that was killed, with the same settings: its ledger is continued, and the orders
    /// that become due from now on are sent. An order that was due before is never sent again; without a result in the
    /// journal it is unknown.
    #[arg(long, requires = "run_id", help_heading = "Run ledger")]
    pub resume: bool,
    /// Folder of the latency log. Without it, the log is written to the run's ledger folder.
    #[arg(long, value_name = "FOLDER", help_heading = "Run ledger")]
    pub stats_dir: Option<PathBuf>,
}

impl RunSettings {
    pub fn shard(&self) -> Shard {
        self.shard.unwrap_or_default()
    }

    /// The seed without `--seed`: follows from `--run-id`, so that the shards of a run agree, or is random.
    pub fn seed(&self) -> u64 {
        self.run_id.as_ref().map_or_else(rand::random, RunId::seed)
    }
}
