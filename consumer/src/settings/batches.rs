use std::time::Duration;

use clap::Args;
use shared::database::StatementMode;

/// The number of workers, and the size of batches and queue.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Batches")]
pub struct BatchSettings {
    /// Number of workers. Each has two database connections; all records of a partition go to the same worker.
    #[arg(long, alias = "writers", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub workers: u8,
    /// Maximum number of rows per insert. A batch has all records that are waiting, up to this number; it is not
    /// delayed to fill up.
    // The maximum number of orders that orderflow's producer sends to a partition in a row: as measured, a tenth faster
    // than 2,000; 5,000 need 16 MiB more.
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
    /// Prepared statements are planned once per connection. Behind a pooler in transaction mode, all are unnamed.
    #[arg(long, value_enum, default_value = "prepared")]
    pub statements: StatementMode,
    /// Timeout of a statement. After it, the connection is closed and half of the rows are tried.
    #[arg(long, default_value = "15s", value_parser = humantime::parse_duration, value_name = "DURATION")]
    pub statement_deadline: Duration,
}
