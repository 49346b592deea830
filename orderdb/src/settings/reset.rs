use std::time::Duration;

use clap::Args;
use shared::{confirm::YesDestroy, program::positive_duration};

#[derive(Debug, Args)]
pub struct ResetSettings {
    /// Delete the orders only; users, products and the schema stay.
    #[arg(long, conflicts_with = "seed")]
    orders_only: bool,
    /// Insert users and products afterwards, as `orderdb seed` does.
    #[arg(long)]
    pub seed: bool,
    #[command(flatten)]
    pub yes: YesDestroy,
    /// Give up when it takes longer, or another session keeps a table locked; nothing is changed then.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = positive_duration)]
    pub statement_deadline: Duration,
}

/// What a reset deletes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetScope {
    /// All tables.
    Schema,
    /// The rows of `orders`.
    Orders,
}

impl ResetSettings {
    pub fn scope(&self) -> ResetScope {
        if self.orders_only { ResetScope::Orders } else { ResetScope::Schema }
    }
}
