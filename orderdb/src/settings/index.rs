use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use shared::program::{OutputFormat, positive_duration};

#[derive(Debug, Args)]
pub struct IndexSettings {
    #[command(subcommand)]
    pub action: IndexAction,
    /// Give up when an index takes longer. It is removed then.
    #[arg(long, global = true, value_name = "DURATION", default_value = "1h", value_parser = positive_duration)]
    pub statement_deadline: Duration,
}

#[derive(Debug, Subcommand)]
pub enum IndexAction {
    /// Create indexes while orders are stored (CREATE INDEX CONCURRENTLY).
    Create(IndexNames),
    /// Drop indexes while orders are stored. No row is lost.
    Drop(IndexNames),
    /// List the optional indexes: whether each exists, its size, and how often it was used.
    List {
        /// Output format of the list.
        #[arg(long, value_enum, default_value_t)]
        output: OutputFormat,
    },
}

#[derive(Debug, Args)]
pub struct IndexNames {
    /// The indexes; all optional ones when none is named.
    #[arg(value_enum)]
    names: Vec<OptionalIndex>,
}

impl IndexNames {
    pub fn indexes(&self) -> &[OptionalIndex] {
        if self.names.is_empty() { OptionalIndex::value_variants() } else { &self.names }
    }
}

/// An index of `orders` that no program needs. Each costs time and space at every order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum OptionalIndex {
    /// (status, created_at): the orders of a status by time.
    OrdersByStatus,
    /// (user_id, created_at): the orders of a user by time.
    OrdersByUser,
}

impl OptionalIndex {
    pub fn name(self) -> &'static str {
        match self {
            Self::OrdersByStatus => "orders_by_status",
            Self::OrdersByUser => "orders_by_user",
        }
    }

    pub fn columns(self) -> &'static str {
        match self {
            Self::OrdersByStatus => "(status, created_at)",
            Self::OrdersByUser => "(user_id, created_at)",
        }
    }
}
