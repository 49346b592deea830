use std::time::Duration;

use clap::Args;
use shared::database::StatementMode;

/// The size of batches and queues.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Batches")]
pub struct BatchSettings {
    /// Workers that insert in parallel, each over its own connections. A partition always has the same worker.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub writers: u8,
    /// Rows of one insert at most. A batch is all records that wait, up to this; it is never delayed to be filled.
    // As many as our producer sends to a partition in a row: measured a tenth faster than 2,000, and 5,000 take 16 MiB
    // more.
    #[arg(long, default_value_t = 3_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_batch: u32,
    /// MiB of memory for records that are read and not yet stored.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1_024), value_name = "MIB")]
    pub queue_size: u32,
}

/// How statements are executed.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Database")]
pub struct StatementSettings {
    /// Prepared statements are planned once a connection. Behind a pooler in transaction mode they fail: use unnamed.
    #[arg(long, value_enum, default_value = "prepared")]
    pub statements: StatementMode,
    /// How long a statement may take before the database counts as lost.
    #[arg(long, default_value = "15s", value_parser = humantime::parse_duration, value_name = "DURATION")]
    pub statement_deadline: Duration,
}
