//! The command line of `orderdb`.

use std::{ffi::OsString, fmt, path::PathBuf, time::Duration};

use clap::{
    Args, Parser, Subcommand, ValueEnum,
    builder::{OsStringValueParser, TypedValueParser},
    value_parser,
};
use shared::{
    cache::CacheSettings,
    catalog::{DEFAULT_PRODUCTS, DEFAULT_SEED, DEFAULT_USERS, Locale},
    confirm::YesDestroy,
    database::DatabaseArgs,
    kafka::KafkaSettings,
    ledger::{RunId, RunsFolder},
    program::{OutputFormat, ProgramArgs, positive_duration},
    telemetry::{LogSettings, ProgramInfo},
};

/// Maximum number of users, and of products, of a synthetic catalog.
const MAX_ROWS: u64 = 100_000_000;
/// Maximum number of users, and of products, that a live seed adds per minute.
const MAX_ROWS_PER_MINUTE: i64 = 600_000;

/// Migrates, seeds and audits the orderflow database, and checks the services.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Command {
    #[command(subcommand)]
    pub action: Action,
    #[command(flatten)]
    pub database: DatabaseArgs,
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
    /// Apply, revert or list the schema's migrations.
    Migrate(MigrateSettings),
    /// Fill the tables with users and products; existing rows stay unchanged.
    Seed(SeedSettings),
    /// Compare a producer run with its topic and the table. Exits with 3 when an order is missing, altered or
    /// dead-lettered, or when the table has one that it must not have.
    Audit(Box<AuditSettings>),
    /// Run one SQL statement and print its rows. It can't change anything without --write.
    Execute(ExecuteSettings),
    /// Check PostgreSQL, Redis and Kafka: what works, what does not, and what to do. Changes nothing. Exits with 3 when
    /// something does not work.
    Check(Box<CheckSettings>),
}

#[derive(Debug, Args)]
pub struct MigrateSettings {
    #[command(subcommand)]
    pub action: MigrateAction,
    /// Give up when all migrations together take longer, or another `migrate` does.
    #[arg(long, global = true, value_name = "DURATION", default_value = "10m", value_parser = positive_duration)]
    pub statement_deadline: Duration,
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
    /// Number of synthetic users.
    #[arg(long, default_value_t = DEFAULT_USERS, value_parser = value_parser!(u64).range(..=MAX_ROWS))]
    pub users: u64,
    /// Number of synthetic products.
    #[arg(long, default_value_t = DEFAULT_PRODUCTS, value_parser = value_parser!(u64).range(..=MAX_ROWS))]
    pub products: u64,
    /// The seed of the synthetic rows: the same value makes the same rows.
    #[arg(long, default_value_t = DEFAULT_SEED)]
    pub seed_value: u64,
    /// Language of the synthetic users' names.
    #[arg(long, value_enum, default_value_t)]
    pub locale: Locale,
    /// Insert the users and products of FILE instead of synthetic ones, all of them or none; `-` reads standard input.
    /// FILE has one JSON object per line, as `producer catalog --output jsonl` prints them.
    #[arg(
        long,
        value_name = "FILE",
        value_parser = OsStringValueParser::new().map(InputFile::from),
        conflicts_with_all = ["users", "products", "seed_value", "locale", "live"]
    )]
    pub catalog: Option<InputFile>,
    /// Insert nothing at the start when both tables have rows.
    #[arg(long)]
    pub if_empty: bool,
    /// Give up when the database does not answer a statement within this time.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = positive_duration)]
    pub statement_deadline: Duration,
    #[command(flatten)]
    pub live: LiveSettings,
}

#[derive(Debug, Args)]
pub struct ExecuteSettings {
    #[command(flatten)]
    pub source: StatementSource,
    /// Let the statement change rows and tables. Without it, it runs in a read-only transaction.
    #[arg(long)]
    pub write: bool,
    /// Form of the rows on stdout.
    #[arg(long, value_enum, default_value_t)]
    pub output: RowFormat,
    /// Give up, and cancel the statement, when it takes longer.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = positive_duration)]
    pub statement_deadline: Duration,
}

/// Where the statement comes from.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct StatementSource {
    /// The statement.
    #[arg(long)]
    pub sql: Option<String>,
    /// File with the statement; `-` reads standard input.
    #[arg(long, value_name = "FILE", value_parser = OsStringValueParser::new().map(InputFile::from))]
    pub file: Option<InputFile>,
}

/// Form of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RowFormat {
    /// A table of at most 1,000 rows.
    #[default]
    Text,
    /// CSV with a header.
    Csv,
    /// One JSON object per row and line.
    Json,
}

/// A file, or standard input for `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputFile {
    StandardInput,
    Path(PathBuf),
}

impl From<OsString> for InputFile {
    fn from(file: OsString) -> Self {
        if file == "-" { Self::StandardInput } else { Self::Path(file.into()) }
    }
}

impl fmt::Display for InputFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StandardInput => f.write_str("standard input"),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Live")]
pub struct LiveSettings {
    /// After the inserts, continue to add rows until Ctrl-C. For each added row, one existing row is changed: region or
    /// age of a user, price and stock of a product.
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
    pub runs: RunsFolder,
    /// Folder with the consumers' latency logs; adds latencies to the report.
    #[arg(long, value_name = "FOLDER")]
    pub stats_dir: Option<PathBuf>,
    #[command(flatten)]
    pub kafka: KafkaSettings,
    /// Output format of the report.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

#[derive(Debug, Args)]
pub struct CheckSettings {
    /// Topic of the orders.
    #[arg(long, env = "ORDERS_TOPIC", default_value = "orders", help_heading = "Kafka")]
    pub topic: String,
    #[command(flatten)]
    pub cache: CacheSettings,
    #[command(flatten)]
    pub kafka: KafkaSettings,
    /// Output format of the result.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, error::ErrorKind};

    use super::*;

    fn seed(arguments: &[&str]) -> Result<SeedSettings, clap::Error> {
        let command = Command::try_parse_from(["orderdb", "seed"].iter().chain(arguments))?;
        let Action::Seed(settings) = command.action else { panic!("another action: {command:?}") };
        Ok(settings)
    }

    #[test]
    fn the_command_line_is_consistent() {
        Command::command().debug_assert();
    }

    #[test]
    fn a_catalog_comes_from_a_file_or_from_standard_input() {
        assert_eq!(seed(&[]).unwrap().catalog, None);
        assert_eq!(seed(&["--catalog", "-"]).unwrap().catalog, Some(InputFile::StandardInput));
        let catalog = seed(&["--if-empty", "--catalog", "a.jsonl"]).unwrap().catalog;
        assert_eq!(catalog, Some(InputFile::Path("a.jsonl".into())));
    }

    #[test]
    fn a_catalog_conflicts_with_the_options_of_the_synthetic_rows() {
        for options in [
            &["--users", "10000"][..],
            &["--products", "1"],
            &["--seed-value", "7"],
            &["--locale", "en-us"],
            &["--live"],
            &["--live", "--users-per-minute", "60"],
        ] {
            let error = seed(&[&["--catalog", "a.jsonl"], options].concat()).unwrap_err();
            assert_eq!((error.kind(), error.exit_code()), (ErrorKind::ArgumentConflict, 2), "{error}");
        }
    }
}
