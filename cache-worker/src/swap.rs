//! Replaces the whole cache in Redis atomically: a reader sees the old rows or the new ones, never a mixture.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use redis::{RedisResult, Script, aio::ConnectionManager};
use shared::{
    cache::CacheKeys,
    catalog::{Product, User},
};

use crate::cached_row::CachedRow;

/// Fields that one command writes, so that no command blocks Redis for long.
const FIELDS_PER_COMMAND: usize = 250;

/// Staged rows that are never swapped in expire after this time.
const STAGING_TTL_SECONDS: i64 = 60;

/// Swaps in the staged rows, unless this or a later epoch was swapped in before, or the number of staged rows is wrong.
///
/// KEYS: epoch, refreshed_at, then pairs of a staging key and the key that it replaces. ARGV: the epoch, the time,
/// then the number of rows for each pair; with 0 the key is not changed. Returns 0 after the swap, -1 if the number of
/// rows is wrong, and the last epoch if the given one is stale.
static SWAP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local last = tonumber(redis.call('GET', KEYS[1]) or '0') or 0
        if tonumber(ARGV[1]) <= last then return last end
        for pair = 1, (#KEYS - 2) / 2 do
            if redis.call('HLEN', KEYS[pair * 2 + 1]) ~= tonumber(ARGV[pair + 2]) then return -1 end
        end
        for pair = 1, (#KEYS - 2) / 2 do
            if tonumber(ARGV[pair + 2]) > 0 then
                redis.call('RENAME', KEYS[pair * 2 + 1], KEYS[pair * 2 + 2])
                redis.call('PERSIST', KEYS[pair * 2 + 2])
            end
        end
        redis.call('SET', KEYS[1], ARGV[1])
        redis.call('SET', KEYS[2], ARGV[2])
        return 0
        ",
    )
});

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwapOutcome {
    Swapped,
    /// An epoch that is not lower was swapped in before. Nothing changed.
    StaleEpoch {
        /// The last epoch that was swapped in.
        last: i64,
    },
    /// Another client changed the staged rows. Nothing changed in the cache.
    StagingAltered,
}

/// The rows of the next cache. If a table has none, its old rows stay in the cache.
#[derive(Clone, Copy, Debug)]
pub struct CacheRows<'a> {
    pub users: &'a [User],
    pub products: &'a [Product],
}

/// Stages `rows`, then swaps in users, products and the time with one script. `epoch` must grow from swap to swap.
///
/// # Errors
/// When Redis fails. The swap may have happened or not.
pub async fn swap(
    connection: &mut ConnectionManager,
    keys: &CacheKeys,
    rows: CacheRows<'_>,
    epoch: i64,
    at: DateTime<Utc>,
) -> RedisResult<SwapOutcome> {
    let CacheRows { users, products } = rows;
    // The staging keys are unique: late commands of a stalled instance can't change the rows of another one.
    let attempt: u32 = rand::random();
    let staging = |key: &str| format!("{key}:{epoch}:{attempt:08x}");
    let (staged_users, staged_products) = (staging(&keys.staging_users), staging(&keys.staging_products));
    stage(connection, &staged_users, users).await?;
    stage(connection, &staged_products, products).await?;
    let mut script = SWAP.prepare_invoke();
    for key in [&keys.epoch, &keys.refreshed_at, &staged_users, &keys.users, &staged_products, &keys.products] {
        script.key(key);
    }
    script.arg(epoch).arg(at.to_rfc3339()).arg(users.len()).arg(products.len());
    let swapped: i64 = script.invoke_async(connection).await?;
    Ok(match swapped {
        0 => SwapOutcome::Swapped,
        -1 => SwapOutcome::StagingAltered,
        last => SwapOutcome::StaleEpoch { last },
    })
}

async fn stage<Row: CachedRow>(connection: &mut ConnectionManager, key: &str, rows: &[Row]) -> RedisResult<()> {
    let mut pipeline = redis::pipe();
    pipeline.del(key).ignore();
    for chunk in rows.chunks(FIELDS_PER_COMMAND) {
        let fields: Vec<(&str, String)> = chunk
            .iter()
            .map(|row| (row.id(), serde_json::to_string(row).expect("a row has only string keys")))
            .collect();
        // Set with each chunk, so that an instance that is killed here leaves no key without expiry.
        pipeline.hset_multiple(key, &fields).ignore().expire(key, STAGING_TTL_SECONDS).ignore();
    }
    pipeline.query_async(connection).await
}
