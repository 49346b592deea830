//! Who is told that Redis fails, and that it works again.

use std::sync::atomic::{AtomicBool, Ordering};

use redis::RedisError;

/// Is told about each call of Redis.
pub trait CacheHealth: Send + Sync {
    /// Redis answered.
    fn works(&self);

    /// Redis failed or did not answer; rows are looked up in the database.
    fn fails(&self, error: &RedisError);
}

/// Logs the begin and the end of each outage.
#[derive(Debug, Default)]
pub struct LoggedOutage {
    lasts: AtomicBool,
}

impl CacheHealth for LoggedOutage {
    fn works(&self) {
        // A load first: without an outage, no call writes to memory that all of them share.
        if self.lasts.load(Ordering::Relaxed) && self.lasts.swap(false, Ordering::Relaxed) {
            tracing::info!("Redis: working again");
        }
    }

    fn fails(&self, error: &RedisError) {
        if !self.lasts.swap(true, Ordering::Relaxed) {
            tracing::warn!("Redis: no answer, rows are read from PostgreSQL until it is back: {error}");
        }
    }
}
