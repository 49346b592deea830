use std::time::Duration;

use clap::{Args, Subcommand};
use shared::{confirm::YesDestroy, program::positive_duration};

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
