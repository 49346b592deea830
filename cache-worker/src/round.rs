//! One round: lock and read the rows that are due, swap them into Redis, mark them, commit (invariant 10).

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::{ExpressionMethods, QueryDsl, QueryableByName, sql_types};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use redis::aio::ConnectionManager;
use shared::{
    cache::CacheKeys,
    database::schema::{products, users},
};

use crate::{
    metrics,
    select::{due_products, due_users},
    swap::{Swap, swap},
};

/// Only one round at a time works on a database, whichever instance runs it.
pub const ADVISORY_LOCK: i64 = 0x6f72_6466_6c6f_7701;

/// Longest time that a swap may take while rows are locked.
const SWAP_DEADLINE: Duration = Duration::from_secs(5);

/// A worker whose host vanishes must not hold the lock and the rows for longer than this.
const SESSION: &str = "SET LOCAL idle_in_transaction_session_timeout = '20s'; SET LOCAL statement_timeout = '15s'";

/// What a round did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// The cache was replaced.
    Cached(Cached),
    /// Both tables are empty; the cache is as it was.
    NothingToCache,
    /// Another instance is in the middle of its round.
    Busy,
}

/// How many rows a round put into the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cached {
    /// Users.
    pub users: usize,
    /// Users that were never cached before.
    pub new_users: usize,
    /// Products.
    pub products: usize,
    /// Products that were never cached before.
    pub new_products: usize,
    /// How long the round took.
    pub took: Duration,
}

/// Why a round failed; nothing was marked.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    /// PostgreSQL failed.
    #[error("the database failed: {0}")]
    Database(#[from] diesel::result::Error),
    /// Redis failed.
    #[error("Redis failed: {0}")]
    Redis(#[from] redis::RedisError),
    /// Redis did not answer while rows were locked.
    #[error("Redis did not take the new cache within {SWAP_DEADLINE:?}")]
    SwapDeadline,
    /// Something else wrote to the staged rows.
    #[error("what was staged in Redis is not what this round staged")]
    NotWhole,
    /// Another instance swapped in a later round.
    #[error("a later round is in the cache already")]
    TooOld,
}

#[derive(QueryableByName)]
struct Turn {
    #[diesel(sql_type = sql_types::Bool)]
    mine: bool,
    #[diesel(sql_type = sql_types::BigInt)]
    epoch: i64,
    #[diesel(sql_type = sql_types::Timestamptz)]
    at: DateTime<Utc>,
}

/// Runs one round. The epoch is the database's clock in microseconds, read under the lock, so that it grows from round to
/// round whichever instance runs it.
///
/// # Errors
/// [`RoundError`]; the transaction was rolled back.
pub async fn run_round(
    connection: &mut AsyncPgConnection,
    cache: &mut ConnectionManager,
    keys: &CacheKeys,
    size: usize,
) -> Result<Round, RoundError> {
    let started = Instant::now();
    connection
        .transaction(async |connection| {
            let query = "SELECT pg_try_advisory_xact_lock($1) AS mine, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS epoch, now() AS at";
            let turn: Turn = diesel::sql_query(query).bind::<sql_types::BigInt, _>(ADVISORY_LOCK).get_result(connection).await?;
            if !turn.mine {
                return Ok(Round::Busy);
            }
            connection.batch_execute(SESSION).await?;
            let chosen_users = due_users(connection, size).await?;
            let chosen_products = due_products(connection, size).await?;
            if chosen_users.rows.is_empty() && chosen_products.rows.is_empty() {
                return Ok(Round::NothingToCache);
            }
            let swapping = swap(cache, keys, &chosen_users.rows, &chosen_products.rows, turn.epoch, turn.at);
            match tokio::time::timeout(SWAP_DEADLINE, swapping).await.map_err(|_| RoundError::SwapDeadline)?? {
                Swap::Done => {}
                Swap::TooOld => return Err(RoundError::TooOld),
                Swap::NotWhole => return Err(RoundError::NotWhole),
            }
            let user_ids: Vec<&str> = chosen_users.rows.iter().map(|user| user.user_id.as_str()).collect();
            diesel::update(users::table.filter(users::user_id.eq_any(user_ids)))
                .set(users::last_cached_at.eq(turn.at))
                .execute(connection)
                .await?;
            let product_ids: Vec<&str> = chosen_products.rows.iter().map(|product| product.product_id.as_str()).collect();
            diesel::update(products::table.filter(products::product_id.eq_any(product_ids)))
                .set(products::last_cached_at.eq(turn.at))
                .execute(connection)
                .await?;
            Ok(Round::Cached(Cached {
                users: chosen_users.rows.len(),
                new_users: chosen_users.new,
                products: chosen_products.rows.len(),
                new_products: chosen_products.new,
                took: started.elapsed(),
            }))
        })
        .await
        .inspect(|round| record(*round))
}

fn record(round: Round) {
    let outcome = match round {
        Round::Cached(_) => "cached",
        Round::NothingToCache => "empty",
        Round::Busy => "busy",
    };
    ::metrics::counter!(metrics::ROUNDS, "outcome" => outcome).increment(1);
    let Round::Cached(cached) = round else { return };
    ::metrics::gauge!(metrics::REFRESHED_AT).set(Utc::now().timestamp_millis() as f64 / 1_000.0);
    ::metrics::histogram!(metrics::ROUND_SECONDS).record(cached.took.as_secs_f64());
    for (table, all, new) in
        [("users", cached.users, cached.new_users), ("products", cached.products, cached.new_products)]
    {
        ::metrics::counter!(metrics::ROWS, "table" => table, "age" => "new").increment(new as u64);
        ::metrics::counter!(metrics::ROWS, "table" => table, "age" => "aged").increment(all.saturating_sub(new) as u64);
    }
}
