//! The issues that make the cache-worker not ready.

use std::borrow::Cow;

use shared::health::HealthIssue;

/// An issue; `/readyz` lists those that are reported in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CacheIssue {
    RedisUnreachable,
    RoundFailed,
    TablesEmpty,
    /// The cache lacks users or products.
    CacheIncomplete,
    /// No instance has refreshed the cache for too long.
    CacheStale,
}

impl HealthIssue for CacheIssue {
    fn resolution(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::RedisUnreachable => "Redis: working again",
            Self::RoundFailed => "cache round: working again",
            Self::TablesEmpty => "tables users and products: no longer empty",
            Self::CacheIncomplete => "cache: complete again",
            Self::CacheStale => "cache: fresh again",
        })
    }
}
