//! One round: lock and read the rows that are due, swap them into Redis, mark them, commit (invariant 10).

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::ExpressionMethods;
use redis::aio::ConnectionManager;
use shared::{
    cache::{self, CacheKeys},
    catalog::{Product, User},
    database::{SqlError, StatementClient, schema::cache_rounds},
};

use crate::{
    mark::mark_cached,
    quota::RowCounts,
    select::{Selection, select_due, select_last_cached},
    settings::AgingSettings,
    swap::{Rows, Swap, swap},
    turn::{Claim, Turn, When, claim, spend},
};

/// What a round did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// The cache was replaced.
    Cached(Cached),
    /// Both tables are empty; the cache is as it was.
    NothingToCache,
    /// The next round is due after this time.
    NotDue(Duration),
    /// Another instance is in the middle of its round.
    Busy,
    /// Redis has seen a later epoch than the database gave out; the next try goes beyond it.
    Outrun,
}

/// What a round put into the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cached {
    /// Of the users.
    pub users: RowCounts,
    /// Of the products.
    pub products: RowCounts,
    /// How long the round took, up to its commit.
    pub took: Duration,
    /// Time until the next one is due.
    pub next: Duration,
}

/// What became of a Redis that lost its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refill {
    /// The rows that were cached last are there again; none of a table whose rows were never cached.
    Refilled {
        /// How many users.
        users: usize,
        /// How many products.
        products: usize,
    },
    /// Somebody else was faster.
    Full,
    /// No row was ever cached.
    NothingCached,
    /// Another instance has the turn.
    Busy,
    /// As [`Round::Outrun`].
    Outrun,
}

/// Why a round failed; nothing was marked.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    /// PostgreSQL failed.
    #[error("the database failed: {0}")]
    Database(#[from] SqlError),
    /// Redis failed.
    #[error("Redis failed: {0}")]
    Redis(#[from] redis::RedisError),
    /// Redis did not answer while rows were locked.
    #[error("Redis did not take the new cache within {0:?}")]
    SwapDeadline(Duration),
    /// Something else wrote to the staged rows.
    #[error("what was staged in Redis is not what this round staged")]
    NotWhole,
}

/// Runs one round, if its turn has come.
///
/// # Errors
/// [`RoundError`]; the transaction was rolled back.
pub async fn run_round(
    database: &mut StatementClient,
    cache: &mut ConnectionManager,
    keys: &CacheKeys,
    aging: AgingSettings,
    when: When,
) -> Result<Round, RoundError> {
    let (started, size) = (Instant::now(), aging.size as usize);
    database
        .transaction(async |database| {
            let turn = match claim(database, when, aging.interval, aging.step_timeout()).await? {
                Claim::Mine(turn) => turn,
                Claim::NotDue(wait) => return Ok(Round::NotDue(wait)),
                Claim::Busy => return Ok(Round::Busy),
            };
            let users: Selection<User> = select_due(database, size).await?;
            let products: Selection<Product> = select_due(database, size).await?;
            if users.rows.is_empty() && products.rows.is_empty() {
                return Ok(Round::NothingToCache);
            }
            let swapped = put(cache, keys, aging, &users.rows, &products.rows, &turn).await?;
            if let Swap::TooOld { last } = swapped {
                spend(database, last).await?;
                return Ok(Round::Outrun);
            }
            mark_cached(database, &users.rows, turn.at).await?;
            mark_cached(database, &products.rows, turn.at).await?;
            let next_due = turn.next_due(aging.interval);
            let cached = Cached {
                users: users.counts,
                products: products.counts,
                took: started.elapsed(),
                next: turn.until(next_due),
            };
            write_down(database, &cached, &turn, next_due, aging).await?;
            Ok(Round::Cached(cached))
        })
        .await
}

/// Puts the rows that were cached last into a Redis that lost its own, without aging any: nothing is marked, and no round
/// moves.
///
/// # Errors
/// [`RoundError`].
pub async fn refill(
    database: &mut StatementClient,
    cache: &mut ConnectionManager,
    keys: &CacheKeys,
    aging: AgingSettings,
) -> Result<Refill, RoundError> {
    let size = aging.size as usize;
    database
        .transaction(async |database| {
            let Claim::Mine(turn) = claim(database, When::Now, aging.interval, aging.step_timeout()).await? else {
                return Ok(Refill::Busy);
            };
            let there = cache::contents(cache, keys).await?;
            if there.users > 0 && there.products > 0 {
                return Ok(Refill::Full);
            }
            let users: Vec<User> = select_last_cached(database, size).await?;
            let products: Vec<Product> = select_last_cached(database, size).await?;
            if users.is_empty() && products.is_empty() {
                return Ok(Refill::NothingCached);
            }
            match put(cache, keys, aging, &users, &products, &turn).await? {
                Swap::TooOld { last } => {
                    spend(database, last).await?;
                    Ok(Refill::Outrun)
                }
                _ => {
                    spend(database, turn.epoch).await?;
                    Ok(Refill::Refilled { users: users.len(), products: products.len() })
                }
            }
        })
        .await
}

async fn put(
    cache: &mut ConnectionManager,
    keys: &CacheKeys,
    aging: AgingSettings,
    users: &[User],
    products: &[Product],
    turn: &Turn,
) -> Result<Swap, RoundError> {
    let timeout = aging.step_timeout();
    let swapping = swap(cache, keys, Rows { users, products }, turn.epoch, turn.at);
    match tokio::time::timeout(timeout, swapping).await.map_err(|_| RoundError::SwapDeadline(timeout))?? {
        Swap::NotWhole => Err(RoundError::NotWhole),
        swapped => Ok(swapped),
    }
}

async fn write_down(
    database: &mut StatementClient,
    cached: &Cached,
    turn: &Turn,
    next_due: DateTime<Utc>,
    aging: AgingSettings,
) -> Result<(), RoundError> {
    use cache_rounds as row;
    let count = |rows: usize| i32::try_from(rows).unwrap_or(i32::MAX);
    let update = diesel::update(row::table).set((
        row::epoch.eq(turn.epoch),
        row::due_at.eq(next_due),
        row::cached_at.eq(turn.at),
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
