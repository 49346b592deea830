//! One round, in one transaction: select and lock the rows that are due, swap them into Redis, mark them, commit
//! (invariant 10).

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::ExpressionMethods;
use redis::aio::ConnectionManager;
use shared::{
    cache::CacheKeys,
    catalog::{Product, User},
    database::{SqlError, StatementClient, schema::cache_rounds},
};

use crate::{
    mark::mark_cached,
    quota::RowCounts,
    round_lock::{AcquireOutcome, RoundLock, Trigger, acquire, persist_epoch},
    select::{Selection, select_due},
    settings::AgingSettings,
    swap::{CacheRows, SwapOutcome, swap},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoundOutcome {
    /// The cache was replaced.
    Cached(CachedRound),
    /// Both tables are empty. The cache was not changed.
    TablesEmpty,
    /// The next round is due after this time.
    NotDue(Duration),
    /// Another instance is in a round.
    Busy,
    /// Redis has a later epoch than the database. It is stored in the database, so that the next round uses a greater
    /// one.
    StaleEpoch,
}

/// A round that replaced the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CachedRound {
    pub users: RowCounts,
    pub products: RowCounts,
    /// How long the round took before its commit.
    pub took: Duration,
    /// Time until the next round is due.
    pub next: Duration,
}

/// Why a round or a refill failed. No row was marked.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    #[error("the database failed: {0}")]
    Database(#[from] SqlError),
    #[error("Redis failed: {0}")]
    Redis(#[from] redis::RedisError),
    /// Redis did not answer while rows were locked.
    #[error("Redis did not swap in the new cache within {0:?}")]
    SwapTimeout(Duration),
    #[error("the staged rows in Redis were changed by another client")]
    StagingAltered,
}

/// Runs one round, unless it is not due or another instance is in one.
///
/// # Errors
/// [`RoundError`]; the transaction was rolled back.
pub async fn run_round(
    database: &mut StatementClient,
    cache: &mut ConnectionManager,
    keys: &CacheKeys,
    aging: AgingSettings,
    trigger: Trigger,
) -> Result<RoundOutcome, RoundError> {
    let (started, size) = (Instant::now(), aging.size as usize);
    database
        .transaction(async |database| {
            let lock = match acquire(database, trigger, aging.interval, aging.step_timeout()).await? {
                AcquireOutcome::Acquired(lock) => lock,
                AcquireOutcome::NotDue(wait) => return Ok(RoundOutcome::NotDue(wait)),
                AcquireOutcome::Busy => return Ok(RoundOutcome::Busy),
            };
            let users: Selection<User> = select_due(database, size).await?;
            let products: Selection<Product> = select_due(database, size).await?;
            if users.rows.is_empty() && products.rows.is_empty() {
                return Ok(RoundOutcome::TablesEmpty);
            }
            let rows = CacheRows { users: &users.rows, products: &products.rows };
            if let SwapOutcome::StaleEpoch { last } = swap_in_time(cache, keys, aging, rows, &lock).await? {
                persist_epoch(database, last).await?;
                return Ok(RoundOutcome::StaleEpoch);
            }
            mark_cached(database, &users.rows, lock.at).await?;
            mark_cached(database, &products.rows, lock.at).await?;
            let next_due = lock.next_due(aging.interval);
            let cached = CachedRound {
                users: users.counts,
                products: products.counts,
                took: started.elapsed(),
                next: lock.until(next_due),
            };
            persist_round(database, &cached, &lock, next_due, aging).await?;
            Ok(RoundOutcome::Cached(cached))
        })
        .await
}

/// Swaps `rows` into Redis within the time of one step of a round.
///
/// # Errors
/// When Redis fails or does not answer in time, or another client changed the staged rows.
pub(crate) async fn swap_in_time(
    cache: &mut ConnectionManager,
    keys: &CacheKeys,
    aging: AgingSettings,
    rows: CacheRows<'_>,
    lock: &RoundLock,
) -> Result<SwapOutcome, RoundError> {
    let timeout = aging.step_timeout();
    let swapping = swap(cache, keys, rows, lock.epoch, lock.at);
    match tokio::time::timeout(timeout, swapping).await.map_err(|_| RoundError::SwapTimeout(timeout))?? {
        SwapOutcome::StagingAltered => Err(RoundError::StagingAltered),
        outcome => Ok(outcome),
    }
}

/// Stores the epoch, the due time of the next round, and the figures of this one for `status`.
async fn persist_round(
    database: &mut StatementClient,
    cached: &CachedRound,
    lock: &RoundLock,
    next_due: DateTime<Utc>,
    aging: AgingSettings,
) -> Result<(), RoundError> {
    use cache_rounds as row;
    let count = |rows: usize| i32::try_from(rows).unwrap_or(i32::MAX);
    let update = diesel::update(row::table).set((
        row::epoch.eq(lock.epoch),
        row::due_at.eq(next_due),
        row::cached_at.eq(lock.at),
        row::size.eq(aging.size.cast_signed()),
        row::interval_ms.eq(i64::try_from(aging.interval.as_millis()).unwrap_or(i64::MAX)),
        row::took_ms.eq(count(cached.took.as_millis() as usize)),
        row::new_users.eq(count(cached.users.new)),
        row::aged_users.eq(count(cached.users.aged)),
        row::new_products.eq(count(cached.products.new)),
        row::aged_products.eq(count(cached.products.aged)),
    ));
    database.execute(&update).await?;
    Ok(())
}
