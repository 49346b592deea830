//! Restores the cache of a Redis that lost its rows, without changing `last_cached_at`.

use redis::aio::ConnectionManager;
use shared::{
    cache::{self, CacheKeys},
    catalog::{Product, User},
    database::StatementClient,
};

use crate::{
    round::{RoundError, swap_in_time},
    round_lock::{AcquireOutcome, Trigger, acquire, persist_epoch},
    select::select_last_cached,
    settings::AgingSettings,
    swap::{CacheRows, SwapOutcome},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefillOutcome {
    /// The rows that were cached last are in Redis again. The number is 0 if no row of the table was ever cached.
    Refilled { users: usize, products: usize },
    /// Redis has users and products; another instance has refilled it.
    Full,
    /// No row was ever cached.
    NothingCached,
    /// Another instance is in a round.
    Busy,
    /// As [`RoundOutcome::StaleEpoch`](crate::round::RoundOutcome::StaleEpoch).
    StaleEpoch,
}

/// Swaps the rows that were cached last into Redis. No `last_cached_at` changes, and the next round is due as before.
///
/// # Errors
/// [`RoundError`]; the transaction was rolled back.
pub async fn refill(
    database: &mut StatementClient,
    cache: &mut ConnectionManager,
    keys: &CacheKeys,
    aging: AgingSettings,
) -> Result<RefillOutcome, RoundError> {
    let size = aging.size as usize;
    database
        .transaction(async |database| {
            let acquired = acquire(database, Trigger::Always, aging.interval, aging.step_timeout()).await?;
            let AcquireOutcome::Acquired(lock) = acquired else { return Ok(RefillOutcome::Busy) };
            let contents = cache::contents(cache, keys).await?;
            if contents.users > 0 && contents.products > 0 {
                return Ok(RefillOutcome::Full);
            }
            let users: Vec<User> = select_last_cached(database, size).await?;
            let products: Vec<Product> = select_last_cached(database, size).await?;
            if users.is_empty() && products.is_empty() {
                return Ok(RefillOutcome::NothingCached);
            }
            let rows = CacheRows { users: &users, products: &products };
            if let SwapOutcome::StaleEpoch { last } = swap_in_time(cache, keys, aging, rows, &lock).await? {
                persist_epoch(database, last).await?;
                return Ok(RefillOutcome::StaleEpoch);
            }
            persist_epoch(database, lock.epoch).await?;
            Ok(RefillOutcome::Refilled { users: users.len(), products: products.len() })
        })
        .await
}
