use std::{path::PathBuf, time::Duration};

use clap::Args;
use shared::program::positive_duration;

#[derive(Debug, Args)]
pub struct PullSettings {
    /// File to write instead of stdout. It is replaced when the whole schema has been read.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Give up when pg_dump takes longer.
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = positive_duration)]
    pub statement_deadline: Duration,
}
