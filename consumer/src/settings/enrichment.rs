use std::time::Duration;

use clap::Args;
use shared::program::positive_duration;

/// How orders are enriched.
#[derive(Clone, Copy, Debug, Args)]
pub struct EnrichmentSettings {
    /// How long this process caches a user or a product. New orders have a change of the tables after the next round of
    /// the cache-worker plus this time; of a row that the cache-worker has not cached, after 300 s plus this time.
    #[arg(
        long,
        alias = "remember",
        default_value = "30s",
        value_parser = positive_duration,
        value_name = "DURATION",
        help_heading = "Enrichment"
    )]
    pub cache_ttl: Duration,
}
