use std::path::PathBuf;

use clap::Args;
use shared::{
    ledger::{RunId, RunsDirectory, Shard},
    order_id::RunTag,
};

/// The run, and where it leaves its traces.
#[derive(Clone, Debug, Args)]
pub struct RunSettings {
    /// Folder of the runs.
    #[command(flatten)]
    pub runs: RunsDirectory,
    /// The run's name; made of the time and a random tag when not given.
    #[arg(long, help_heading = "Run ledger")]
    pub run_id: Option<RunId>,
    /// Share the run with other producers: 2/4 is the second of four, and sends every fourth order of the whole rate or
    /// count. All of them are given the same settings but for this one; the audit merges their ledgers.
    #[arg(long, alias = "instance", value_name = "NUMBER/OF", requires_all = ["run_id", "start_at"], help_heading = "Run ledger")]
    pub shard: Option<Shard>,
    /// Where the latency log goes; beside the ledger when not given.
    #[arg(long, value_name = "FOLDER", help_heading = "Run ledger")]
    pub stats_dir: Option<PathBuf>,
}

impl RunSettings {
    /// Which of the run's producers this is.
    pub fn shard(&self) -> Shard {
        self.shard.unwrap_or_default()
    }

    /// Marks the orders: drawn at random, or by the run's name, so that the same run has the same orders again.
    pub fn tag(&self) -> RunTag {
        self.run_id.as_ref().map_or_else(RunTag::random, |id| id.tag(self.shard()))
    }

    /// What chance begins with when no other number was asked for: shards of a run must agree.
    pub fn seed(&self) -> u64 {
        self.run_id.as_ref().map_or_else(rand::random, RunId::seed)
    }
}
