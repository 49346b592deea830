//! The command line of `orderdb`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, value_parser};
use shared::{
    catalog::{DEFAULT_PRODUCTS, DEFAULT_SEED, DEFAULT_USERS, Locale},
    confirm::YesDestroy,
    database::DatabaseArgs,
    kafka::{KafkaSettings, TopicSettings},
    ledger::{RunId, RunsDirectory},
    program::{OutputFormat, positive_duration},
};

/// Most users or products of a synthetic catalog.
const MAX_ROWS: u64 = 100_000_000;
/// Most users or products that a live seed adds per minute.
const MAX_ROWS_PER_MINUTE: i64 = 600_000;

/// Migrates, seeds and audits the orderflow database.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Command {
    #[command(subcommand)]
    pub action: Action,
    #[command(flatten)]
    pub database: DatabaseArgs,
}

#[derive(Debug, Subcommand)]
pub enum Action {
    /// Apply, revert or list the schema's migrations.
    #[command(subcommand)]
    Migrate(MigrateAction),
    /// Fill the tables with users and products; existing rows stay unchanged.
    Seed(SeedSettings),
    /// Compare a producer run with the topic and the table. Exits with 3 when an order is missing, or when one is
    /// stored that must not be.
    Audit(Box<AuditSettings>),
}

#[derive(Debug, Subcommand)]
pub enum MigrateAction {
    /// Apply every migration that is missing.
    Up,
    /// Revert the last migration. Reverting the first one drops all tables.
    Down(YesDestroy),
    /// List the migrations and whether each is applied. Exits with 3 when one is missing.
    Status,
}

#[derive(Debug, Args)]
pub struct SeedSettings {
    /// Number of users.
    #[arg(long, default_value_t = DEFAULT_USERS, value_parser = value_parser!(u64).range(..=MAX_ROWS))]
    pub users: u64,
    /// Number of products.
    #[arg(long, default_value_t = DEFAULT_PRODUCTS, value_parser = value_parser!(u64).range(..=MAX_ROWS))]
    pub products: u64,
    /// The seed of the random rows: the same value makes the same rows.
    #[arg(long, default_value_t = DEFAULT_SEED)]
    pub seed_value: u64,
    /// Language of the users' names.
    #[arg(long, value_enum, default_value_t)]
    pub locale: Locale,
    /// Insert nothing when both tables have rows.
    #[arg(long)]
    pub if_empty: bool,
    #[command(flatten)]
    pub live: LiveSettings,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Live")]
pub struct LiveSettings {
    /// After that, keep adding rows until Ctrl-C, and for each change another: a user moves or has a birthday, a
    /// product gets another price and stock.
    #[arg(long)]
    pub live: bool,
    /// Users added per minute.
    #[arg(
        long,
        default_value_t = 600,
        requires = "live",
        value_parser = value_parser!(u32).range(..=MAX_ROWS_PER_MINUTE)
    )]
    pub users_per_minute: u32,
    /// Products added per minute.
    #[arg(
        long,
        default_value_t = 60,
        requires = "live",
        value_parser = value_parser!(u32).range(..=MAX_ROWS_PER_MINUTE)
    )]
    pub products_per_minute: u32,
    /// Stop after this time.
    #[arg(long, requires = "live", value_parser = positive_duration, value_name = "DURATION")]
    pub duration: Option<Duration>,
}

#[derive(Debug, Args)]
pub struct AuditSettings {
    /// Id of the run, as the producer printed it.
    pub run_id: RunId,
    #[command(flatten)]
    pub runs: RunsDirectory,
    /// Folder with the consumers' latency logs; adds latencies to the report.
    #[arg(long, value_name = "FOLDER")]
    pub stats_dir: Option<PathBuf>,
    #[command(flatten)]
    pub kafka: KafkaSettings,
    #[command(flatten)]
    pub topic: TopicSettings,
    /// What to print.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
}
