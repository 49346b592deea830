use std::time::Duration;

use clap::Args;
use shared::{
    cache::CacheSettings,
    program::{OutputFormat, positive_duration},
};

#[derive(Debug, Args)]
pub struct StatusSettings {
    #[command(flatten)]
    pub cache: CacheSettings,
    /// Format of the result.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
    /// Leave a part out when a statement takes longer.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = positive_duration)]
    pub statement_deadline: Duration,
}
