//! What the cache-worker is told.

use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use shared::{
    cache::CacheSettings,
    confirm::YesDestroy,
    database::DatabaseArgs,
    program::{OutputFormat, positive_duration},
    telemetry::TelemetryArgs,
};

/// Keeps the Redis cache of users and products fresh: every interval it replaces the whole cache by rows that were never
/// cached and by those cached longest ago. Runs until Ctrl-C or SIGTERM.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Example: cache-worker --interval 50s --listen 127.0.0.1:9465\n         cache-worker status\nSeveral may run on one database: one of them does the rounds, the others take over when it doesn't."
)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Command {
    /// What to do instead of rounds.
    #[command(subcommand)]
    pub action: Option<Action>,
    /// How often and how much.
    #[command(flatten)]
    pub aging: AgingSettings,
    /// Run a single round now, due or not, and exit.
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

/// What to do instead of rounds.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Show how fresh the cache is, what the last round did, and how far the tables have come round. Exits with 3 when the
    /// cache lacks users or products, or the next round is overdue by more than an interval.
    Status(Box<StatusSettings>),
    /// Forget when rows were cached, so that the rounds begin anew with the oldest. The cache stays as it is. Asks first.
    Reset(Box<ResetSettings>),
}

/// Of what, and how to show it.
#[derive(Debug, Args)]
pub struct StatusSettings {
    /// What to print.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
    /// The cache.
    #[command(flatten)]
    pub cache: CacheSettings,
    /// The tables.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// Of which tables; of both when none is named.
#[derive(Debug, Args)]
pub struct ResetSettings {
    /// Forget when users were cached.
    #[arg(long)]
    pub users: bool,
    /// Forget when products were cached.
    #[arg(long)]
    pub products: bool,
    /// How a script agrees.
    #[command(flatten)]
    pub yes: YesDestroy,
    /// The tables.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// The aging rule.
#[derive(Clone, Copy, Debug, Args)]
pub struct AgingSettings {
    /// Time from the start of one round to the start of the next; the same for every instance.
    #[arg(long, default_value = "50s", value_parser = interval, value_name = "DURATION")]
    pub interval: Duration,
    /// Rows in the cache, of users and of products each; half of them are for rows never cached before.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(2..=50_000), value_name = "ROWS")]
    pub size: u32,
}

/// From 10 ms to a day.
fn interval(text: &str) -> Result<Duration, String> {
    let interval = positive_duration(text)?;
    let allowed = Duration::from_millis(10)..=Duration::from_secs(24 * 3_600);
    if allowed.contains(&interval) { Ok(interval) } else { Err("must be from 10ms to 1day".to_owned()) }
}

impl AgingSettings {
    /// How long one step of a round, a statement or the swap, may take while rows are locked. With an interval of 4 s or
    /// more, another instance takes over within one interval from an instance that hangs.
    pub fn step_timeout(&self) -> Duration {
        (self.interval / 2).clamp(Duration::from_secs(2), Duration::from_secs(10))
    }

    /// How long a whole round may take.
    pub fn round_timeout(&self) -> Duration {
        self.step_timeout() * 2
    }
}
