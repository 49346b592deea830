//! Ends what Redis has of orders that are changed, so that readers of `shared::lookup` see the change.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use redis::{RedisError, aio::ConnectionManager};
use shared::{
    cache::CacheKeys,
    database::Order,
    lookup::{CacheHealth, ENTRY_TTL, RowCache},
};

use crate::metrics;

/// Invalidates orders in Redis. Shared by all workers. A Redis that fails keeps no change from the table: a reader may
/// then see the former status of an order for up to [`ENTRY_TTL`].
pub struct Invalidation {
    cache: RowCache,
    /// The longest time from the invalidation to the end of the COMMIT.
    commit_within: Duration,
}

impl Invalidation {
    pub fn new(redis: ConnectionManager, keys: CacheKeys, commit_within: Duration) -> Self {
        Self { cache: RowCache::new(redis, keys, LoggedOutage::default()), commit_within }
    }

    /// Invalidates the orders with these ids, before the COMMIT of their new statuses.
    pub async fn invalidate(&self, ids: &[&str]) {
        let invalidated = self.cache.invalidate_if_available::<Order>(ids, self.commit_within).await;
        let counter = if invalidated { metrics::INVALIDATED } else { metrics::NOT_INVALIDATED };
        ::metrics::counter!(counter).increment(ids.len() as u64);
    }
}

/// Logs the begin and the end of each outage.
#[derive(Default)]
struct LoggedOutage {
    lasts: AtomicBool,
}

impl CacheHealth for LoggedOutage {
    fn works(&self) {
        if self.lasts.load(Ordering::Relaxed) && self.lasts.swap(false, Ordering::Relaxed) {
            tracing::info!("Redis: changed orders are invalidated again");
        }
    }

    fn fails(&self, error: &RedisError) {
        if !self.lasts.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "Redis: changed orders can't be invalidated; readers may see their former statuses for {ENTRY_TTL:?}: \
                 {error}"
            );
        }
    }
}
