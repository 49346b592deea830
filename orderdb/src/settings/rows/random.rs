use clap::{Args, ValueEnum, value_parser};
use shared::cache::CacheSettings;

use super::options::RowOptions;

#[derive(Debug, Args)]
pub struct RandomSettings {
    /// Table of the rows.
    #[arg(value_enum)]
    pub kind: RandomKind,
    /// Number of rows. Each is drawn by itself, so that a row may come twice.
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u32).range(1..=10_000))]
    pub count: u32,
    #[command(flatten)]
    pub cache: CacheSettings,
    #[command(flatten)]
    pub options: RowOptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RandomKind {
    User,
    Product,
}
