//! What `orderdb` is told.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use shared::{
    catalog::{DEFAULT_PRODUCTS, DEFAULT_SEED, DEFAULT_USERS, Locale},
    confirm::YesDestroy,
    database::DatabaseArgs,
    kafka::{KafkaSettings, TopicSettings},
    ledger::{RunId, RunsDirectory},
    program::{OutputFormat, positive_duration},
};

/// Makes, fills and audits the orderflow database.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Command {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
    /// The database to do it with.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Make, remove or look at the schema.
    #[command(subcommand)]
    Migrate(MigrateAction),
    /// Fill the tables with users and products; rows that are there already stay as they are.
    Seed(SeedSettings),
    /// Hold a producer run against the topic and the table: is everything that was acknowledged there, and nothing else?
    Audit(Box<AuditSettings>),
}

/// What to do with the schema.
#[derive(Debug, Subcommand)]
pub enum MigrateAction {
    /// Apply every migration that is missing.
    Up,
    /// Take the last migration back; the first one drops all tables.
    Down(YesDestroy),
    /// List the migrations and whether each is applied. Exits with 3 when one is missing.
    Status,
}

/// How many rows, and which.
#[derive(Debug, Args)]
pub struct SeedSettings {
    /// Users.
    #[arg(long, default_value_t = DEFAULT_USERS, value_parser = clap::value_parser!(u64).range(..=100_000_000))]
    pub users: u64,
    /// Products.
    #[arg(long, default_value_t = DEFAULT_PRODUCTS, value_parser = clap::value_parser!(u64).range(..=100_000_000))]
    pub products: u64,
    /// The same value gives the same rows.
    #[arg(long, default_value_t = DEFAULT_SEED)]
    pub seed_value: u64,
    /// The language of people's names.
    #[arg(long, value_enum, default_value_t)]
    pub locale: Locale,
    /// Add nothing at the start when both tables have rows.
    #[arg(long)]
    pub if_empty: bool,
    /// What goes on after that.
    #[command(flatten)]
    pub live: LiveSettings,
}

/// How rows go on being added and changed.
#[derive(Debug, Default, Args)]
pub struct LiveSettings {
    /// Then go on adding rows until Ctrl-C, and for each change another: a user moves or has a birthday, a product gets
    /// another price and stock.
    #[arg(long, help_heading = "Live")]
    pub live: bool,
    /// Users that are added a minute.
    #[arg(long, default_value_t = 600, requires = "live", value_parser = clap::value_parser!(u32).range(..=600_000), help_heading = "Live")]
    pub users_per_minute: u32,
    /// Products that are added a minute.
    #[arg(long, default_value_t = 60, requires = "live", value_parser = clap::value_parser!(u32).range(..=600_000), help_heading = "Live")]
    pub products_per_minute: u32,
    /// End after this long.
    #[arg(long, requires = "live", value_parser = positive_duration, value_name = "DURATION", help_heading = "Live")]
    pub duration: Option<Duration>,
}

/// Which run, and where its traces are.
#[derive(Debug, Args)]
pub struct AuditSettings {
    /// The run, as the producer named it.
    pub run_id: RunId,
    /// Where the producer left the run's ledger.
    #[command(flatten)]
    pub runs: RunsDirectory,
    /// Merge the consumers' latency logs in this folder into the report.
    #[arg(long, value_name = "FOLDER")]
    pub stats_dir: Option<PathBuf>,
    /// The cluster that the run wrote to.
    #[command(flatten)]
    pub kafka: KafkaSettings,
    /// The topic that the consumers read.
    #[command(flatten)]
    pub topic: TopicSettings,
    /// What to print.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
}
