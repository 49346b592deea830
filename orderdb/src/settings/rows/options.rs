use std::time::Duration;

use clap::Args;
use shared::program::positive_duration;

use crate::settings::execute::RowFormat;

/// What every action has.
#[derive(Clone, Copy, Debug, Args)]
pub struct RowOptions {
    /// Form of the rows on stdout.
    #[arg(long, value_enum, default_value_t)]
    pub output: RowFormat,
    /// Give up when the database does not answer a statement within this time.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = positive_duration)]
    pub statement_deadline: Duration,
}
