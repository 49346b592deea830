use std::time::Duration;

use clap::Args;
use shared::program::{OutputFormat, positive_duration};

#[derive(Debug, Args)]
pub struct ValidateSettings {
    /// Output format of the differences.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
    /// Give up when the database does not answer within this time.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = positive_duration)]
    pub statement_deadline: Duration,
}
