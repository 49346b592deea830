use std::time::Duration;

use clap::{
    Args, ValueEnum,
    builder::{OsStringValueParser, TypedValueParser},
};
use shared::program::positive_duration;

use super::input_file::InputFile;

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
