use clap::Args;

use crate::{generate::InvalidShare, send::partitioner::Partitioner};

/// The content of the orders, and their partitions.
#[derive(Clone, Debug, Args)]
pub struct OrderSettings {
    /// Seed of the random numbers. The same seed gives the same arrivals and the same figures of each order; with
    /// --source builtin, --catalog or --snapshot the same users and products; with --start-at and --run-id as well, the
    /// same bytes. Follows from --run-id if that is set, random otherwise.
    #[arg(long, value_name = "NUMBER", help_heading = "Orders")]
    pub seed: Option<u64>,
    /// Make this share of the orders invalid on purpose, such as 0.1%: unknown user or product, truncated JSON, wrong
    /// type, newer version. They are counted separately, and the audit expects them in the dead-letter queue.
    #[arg(long, default_value = "0%", value_name = "SHARE", help_heading = "Orders")]
    pub invalid: InvalidShare,
    /// How the partition of an order is chosen.
    #[arg(long, alias = "partitioning", value_enum, default_value_t, help_heading = "Orders")]
    pub partitioner: Partitioner,
}
