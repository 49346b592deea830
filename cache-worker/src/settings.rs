//! What the cache-worker is told.

use std::time::Duration;

use clap::{Args, Parser};
use shared::{cache::CacheSettings, database::DatabaseArgs, program::positive_duration, telemetry::TelemetryArgs};

/// Keeps the Redis cache of users and products fresh: every interval it replaces the whole cache by rows that were never
/// cached and by those cached longest ago.
#[derive(Debug, Parser)]
#[command(version, after_help = "Example: cache-worker --interval 50s --listen 127.0.0.1:9465")]
pub struct Command {
    /// How often and how much.
    #[command(flatten)]
    pub aging: AgingSettings,
    /// Run a single round and exit.
    #[arg(long)]
    pub once: bool,
    /// The cache to fill.
    #[command(flatten)]
    pub cache: CacheSettings,
    /// The tables to fill it from.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Metrics and health.
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
}

/// The aging rule.
#[derive(Clone, Copy, Debug, Args)]
pub struct AgingSettings {
    /// Time from the start of one round to the start of the next.
    #[arg(long, default_value = "50s", value_parser = positive_duration, value_name = "DURATION")]
    pub interval: Duration,
    /// Rows in the cache, of users and of products each; half of them are for rows never cached before.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(2..=1_000_000), value_name = "ROWS")]
    pub size: u32,
}
