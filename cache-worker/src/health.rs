//! The issues that keep the cache from being filled and fresh.

use shared::health::HealthIssue;

/// An issue; `/readyz` lists those that are reported in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CacheIssue {
    RedisUnreachable,
    RoundFailed,
    TablesEmpty,
    /// The cache lacks users or products.
    CacheIncomplete,
    /// No worker has refreshed the cache for too long.
    CacheStale,
}

impl HealthIssue for CacheIssue {
    fn resolution(self) -> &'static str {
        match self {
            Self::RedisUnreachable => "Redis: working again",
            Self::RoundFailed => "cache rounds: succeeding again",
            Self::TablesEmpty => "tables: rows to cache were found",
            Self::CacheIncomplete => "cache: filled",
            Self::CacheStale => "cache: refreshed again",
        }
    }
}
