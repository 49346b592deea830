//! The command line of the cache-worker.

use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use shared::{
    cache::CacheSettings,
    completions::CompletionSettings,
    confirm::YesDestroy,
    database::DatabaseArgs,
    program::{OutputFormat, ProgramArgs, positive_duration},
    telemetry::{LogSettings, ProgramInfo, TelemetrySettings},
};

/// Keeps the Redis cache of users and products fresh. In each interval it replaces the whole cache by rows that were
/// never cached and rows that were cached longest ago. Runs until Ctrl-C or SIGTERM.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:\n  \
        cache-worker --interval 50s --listen 127.0.0.1:9465\n  \
        cache-worker status\n\n\
        Several instances may run on one database. One of them runs the rounds; another takes over when it fails."
)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Command {
    #[command(subcommand)]
    pub action: Option<Action>,
    #[command(flatten)]
    pub aging: AgingSettings,
    /// Run a single round now, due or not, and exit.
    #[arg(long)]
    pub once: bool,
    #[command(flatten)]
    pub cache: CacheSettings,
    #[command(flatten)]
    pub database: DatabaseArgs,
    #[command(flatten)]
    pub telemetry: TelemetrySettings,
    #[command(flatten)]
    pub log: LogSettings,
}

impl ProgramArgs for Command {
    const PROGRAM: ProgramInfo = ProgramInfo { program: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") };

    fn log_settings(&self) -> LogSettings {
        self.log
    }
}

#[derive(Debug, Subcommand)]
pub enum Action {
    /// Show how fresh the cache is, what the last round did, and how far the tables have been refreshed. Exits with 3
    /// if the cache lacks users or products, or if the next round is overdue by more than an interval.
    Status(Box<StatusSettings>),
    /// Mark all rows as never cached, so that the next rounds start with the rows created first. The cache is not
    /// changed. Asks for confirmation.
    Reset(Box<ResetSettings>),
    /// Print the completions for a shell: `source <(cache-worker completions bash)`.
    Completions(CompletionSettings),
}

#[derive(Debug, Args)]
pub struct StatusSettings {
    /// Format of the output.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
    #[command(flatten)]
    pub cache: CacheSettings,
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// Without `--users` and `--products`, both tables are reset.
#[derive(Debug, Args)]
pub struct ResetSettings {
    /// Reset the users. Both tables are reset if neither --users nor --products is given.
    #[arg(long)]
    pub users: bool,
    /// Reset the products.
    #[arg(long)]
    pub products: bool,
    #[command(flatten)]
    pub yes: YesDestroy,
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// How often rounds run, and how many rows they cache.
#[derive(Clone, Copy, Debug, Args)]
pub struct AgingSettings {
    /// Time from the start of one round to the start of the next. All instances must have the same interval.
    #[arg(long, default_value = "50s", value_parser = interval, value_name = "DURATION")]
    pub interval: Duration,
    /// Number of users and number of products in the cache. Half of each is for rows that were never cached.
    #[arg(
        long,
        default_value_t = 1_000,
        value_parser = clap::value_parser!(u32).range(2..=50_000),
        value_name = "ROWS"
    )]
    pub size: u32,
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = positive_duration(text)?;
    let allowed = Duration::from_millis(10)..=Duration::from_secs(24 * 3_600);
    if allowed.contains(&interval) { Ok(interval) } else { Err("an interval is 10ms to 1day".to_owned()) }
}

impl AgingSettings {
    /// How long one step of a round, a statement or the swap, may take while rows are locked. With an interval of 4 s
    /// or more, another instance takes over within one interval from an instance that hangs.
    pub fn step_timeout(&self) -> Duration {
        (self.interval / 2).clamp(Duration::from_secs(2), Duration::from_secs(10))
    }

    /// How long a whole round may take.
    pub fn round_timeout(&self) -> Duration {
        self.step_timeout() * 2
    }
}
