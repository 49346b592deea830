//! Reports the keys of earlier versions, which nothing updates any more: programs of those versions would read old rows.

use redis::{AsyncCommands, aio::ConnectionManager};
use shared::cache::CacheSettings;

/// Logs a warning when Redis has the keys of an earlier version. They are not deleted: they have common names, and may
/// belong to another application by now.
pub async fn warn_of_earlier_keys(redis: &mut ConnectionManager, cache: &CacheSettings) {
    let keys = cache.keys_of_earlier_versions();
    // A key is looked up alone: in a cluster, these are in several slots, and none of them exists.
    if redis.exists::<_, bool>(&keys[0]).await.unwrap_or_default() {
        tracing::warn!(
            "cache: Redis has keys of an earlier version, which nothing updates: end the programs of that version, \
             then run redis-cli del {}",
            keys.join(" ")
        );
    }
}
