//! Puts a whole new cache in the place of the old one, in one step that readers can't see half of.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use redis::{RedisResult, Script, aio::ConnectionManager};
use serde::Serialize;
use shared::{
    cache::CacheKeys,
    catalog::{Product, User},
};

/// Fields written by one command, so that no single command holds Redis up.
const FIELDS_A_COMMAND: usize = 250;

/// Swaps in what was staged, unless a later epoch was swapped in before. KEYS are: epoch, refreshed_at, then pairs of a
/// staging key and the key it becomes; ARGV are the epoch and the time. Gives 1 when it swapped, 0 when it refused.
static SWAP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local last = tonumber(redis.call('GET', KEYS[1]) or '0')
        if tonumber(ARGV[1]) < last then return 0 end
        for i = 3, #KEYS, 2 do
            if redis.call('EXISTS', KEYS[i]) == 1 then redis.call('RENAME', KEYS[i], KEYS[i + 1]) end
        end
        redis.call('SET', KEYS[1], ARGV[1])
        redis.call('SET', KEYS[2], ARGV[2])
        return 1
        ",
    )
});

/// Whether the new cache is in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swap {
    /// Readers see the new rows.
    Done,
    /// A later round was swapped in before; nothing changed.
    TooOld,
}

/// Stages `users` and `products`, then swaps both and the time in one script. An empty slice leaves its hash as it is.
/// `epoch` must grow from round to round.
///
/// # Errors
/// When Redis fails; what readers see is then the old cache or the new one, never a mixture.
pub async fn swap(
    connection: &mut ConnectionManager,
    keys: &CacheKeys,
    users: &[User],
    products: &[Product],
    epoch: i64,
    at: DateTime<Utc>,
) -> RedisResult<Swap> {
    stage(connection, &keys.staging_users, users, |user| user.user_id.as_str()).await?;
    stage(connection, &keys.staging_products, products, |product| product.product_id.as_str()).await?;
    let mut script = SWAP.prepare_invoke();
    for key in
        [&keys.epoch, &keys.refreshed_at, &keys.staging_users, &keys.users, &keys.staging_products, &keys.products]
    {
        script.key(key);
    }
    let swapped: i32 = script.arg(epoch).arg(at.to_rfc3339()).invoke_async(connection).await?;
    Ok(if swapped == 1 { Swap::Done } else { Swap::TooOld })
}

async fn stage<Row: Serialize>(
    connection: &mut ConnectionManager,
    key: &str,
    rows: &[Row],
    id: impl Fn(&Row) -> &str,
) -> RedisResult<()> {
    let mut pipeline = redis::pipe();
    // A round that crashed may have left its staging key behind.
    pipeline.del(key).ignore();
    for chunk in rows.chunks(FIELDS_A_COMMAND) {
        let fields: Vec<(&str, String)> = chunk
            .iter()
            .map(|row| (id(row), serde_json::to_string(row).expect("a row has no map with keys that are not text")))
            .collect();
        pipeline.hset_multiple(key, &fields).ignore();
    }
    pipeline.query_async(connection).await
}
