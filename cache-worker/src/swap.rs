//! Puts a whole new cache in the place of the old one, in one step that readers can't see half of.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use redis::{RedisResult, Script, aio::ConnectionManager};
use shared::{
    cache::CacheKeys,
    catalog::{Product, User},
};

use crate::cached_row::CachedRow;

/// Fields written by one command, so that no single command holds Redis up.
const FIELDS_A_COMMAND: usize = 250;

/// What is staged and never swapped in goes by itself after this.
const STAGED_SECONDS: i64 = 60;

/// Swaps in what was staged, unless this or a later epoch was swapped in before, or what is staged is not whole. KEYS are: epoch,
/// refreshed_at, then pairs of a staging key and the key it becomes; ARGV are the epoch, the time, then the number of rows
/// of each pair, 0 for one that stays as it is. Gives 0 when it swapped, -1 when it was not whole, and the last epoch when
/// it was too old.
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

/// Whether the new cache is in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swap {
    /// Readers see the new rows.
    Done,
    /// A later round was swapped in before; nothing changed.
    TooOld {
        /// That round's epoch.
        last: i64,
    },
    /// Something else wrote to what was staged; nothing changed.
    NotWhole,
}

/// The next cache.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// Its users; none leaves those that are there.
    pub users: &'a [User],
    /// Its products; the same.
    pub products: &'a [Product],
}

/// Stages `rows`, then swaps both and the time in one script.
/// `epoch` must grow from round to round.
///
/// # Errors
/// When Redis fails; what readers see is then the old cache or the new one, never a mixture.
pub async fn swap(
    connection: &mut ConnectionManager,
    keys: &CacheKeys,
    rows: Rows<'_>,
    epoch: i64,
    at: DateTime<Utc>,
) -> RedisResult<Swap> {
    let Rows { users, products } = rows;
    // Each swap has staging keys of its own: what a stalled worker sends late can't get among another's rows.
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
        0 => Swap::Done,
        -1 => Swap::NotWhole,
        last => Swap::TooOld { last },
    })
}

async fn stage<Row: CachedRow>(connection: &mut ConnectionManager, key: &str, rows: &[Row]) -> RedisResult<()> {
    let mut pipeline = redis::pipe();
    pipeline.del(key).ignore();
    for chunk in rows.chunks(FIELDS_A_COMMAND) {
        let fields: Vec<(&str, String)> = chunk
            .iter()
            .map(|row| (row.id(), serde_json::to_string(row).expect("a row has no map with keys that are not text")))
            .collect();
        // A worker that is cut off in the middle leaves nothing that stays.
        pipeline.hset_multiple(key, &fields).ignore().expire(key, STAGED_SECONDS).ignore();
    }
    pipeline.query_async(connection).await
}
