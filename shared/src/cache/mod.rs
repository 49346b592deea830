//! The cache in Redis: its settings, its keys, and the commands that read it.
//!
//! It has two hashes, of users and of products, which the cache-worker fills. The producer draws random rows from them.
//! Rows are looked up by id ([`crate::lookup`]) in the hashes, and in entries of one row each. The names of all keys
//! contain `{cache}`, a hash tag: in a Redis Cluster they are in one slot, so that a transaction and a script can use
//! several of them.

mod keys;
mod settings;

use std::future::Future;

use chrono::{DateTime, Utc};
use redis::{AsyncCommands, Pipeline, RedisError, RedisResult, aio::ConnectionManager};
use serde::de::DeserializeOwned;

pub(crate) use self::settings::has_password;
pub use self::{
    keys::CacheKeys,
    settings::{CacheSettings, REQUEST_TIMEOUT},
};

/// The client's own response timeout starts once the connection is open. This one includes reconnecting (invariant 12).
async fn with_timeout<T>(call: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    let timed_out = |_| {
        let message = format!("no answer from Redis within {REQUEST_TIMEOUT:?}");
        Err(RedisError::from(std::io::Error::new(std::io::ErrorKind::TimedOut, message)))
    };
    tokio::time::timeout(REQUEST_TIMEOUT, call).await.unwrap_or_else(timed_out)
}

/// Draws `count` rows of hash `key` at random, with repetition. An empty hash returns no rows. A row that is not valid
/// JSON of a `Row` is left out.
///
/// # Errors
/// When Redis fails or does not answer within [`REQUEST_TIMEOUT`].
pub async fn sample<Row: DeserializeOwned>(
    connection: &mut ConnectionManager,
    key: &str,
    count: usize,
) -> RedisResult<Vec<Row>> {
    let mut command = redis::cmd("HRANDFIELD");
    command.arg(key).arg(-(count as i64)).arg("WITHVALUES");
    let rows: Vec<(String, String)> = with_timeout(command.query_async(connection)).await?;
    Ok(rows.iter().filter_map(|(_, json)| serde_json::from_str(json).ok()).collect())
}

/// Returns all rows of hash `key`, in no particular order. A row that is not valid JSON of a `Row` is left out.
///
/// # Errors
/// When Redis fails or does not answer within [`REQUEST_TIMEOUT`].
pub async fn all<Row: DeserializeOwned>(connection: &mut ConnectionManager, key: &str) -> RedisResult<Vec<Row>> {
    let rows: Vec<String> = with_timeout(connection.hvals(key)).await?;
    Ok(rows.iter().filter_map(|json| serde_json::from_str(json).ok()).collect())
}

/// The size and the age of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents {
    /// Number of users, 0 when the hash does not exist.
    pub users: usize,
    /// Number of products, 0 when the hash does not exist.
    pub products: usize,
    /// Time of the last swap; `None` before the first one.
    pub refreshed_at: Option<DateTime<Utc>>,
}

/// Reads the size and the age of the cache, as of one instant.
///
/// # Errors
/// When Redis fails or does not answer within [`REQUEST_TIMEOUT`].
pub async fn contents(connection: &mut ConnectionManager, keys: &CacheKeys) -> RedisResult<Contents> {
    let mut transaction = redis::pipe();
    transaction.atomic().hlen(&keys.users).hlen(&keys.products).get(&keys.refreshed_at);
    let (users, products, time): (usize, usize, Option<String>) =
        with_timeout(transaction.query_async(connection)).await?;
    Ok(Contents { users, products, refreshed_at: time.and_then(|time| time.parse().ok()) })
}

/// Reads the time of the last swap; `None` before the first one.
///
/// # Errors
/// When Redis fails or does not answer within [`REQUEST_TIMEOUT`].
pub async fn refreshed_at(connection: &mut ConnectionManager, keys: &CacheKeys) -> RedisResult<Option<DateTime<Utc>>> {
    let time: Option<String> = with_timeout(connection.get(&keys.refreshed_at)).await?;
    Ok(time.and_then(|time| time.parse().ok()))
}

/// Reads the fields `ids` of hash `key`. The result has one element per id, in the same order: `None` where the hash has no
/// such field.
///
/// # Errors
/// When Redis fails or does not answer within [`REQUEST_TIMEOUT`].
pub async fn fields(connection: &mut ConnectionManager, key: &str, ids: &[&str]) -> RedisResult<Vec<Option<Vec<u8>>>> {
    with_timeout(connection.hmget(key, ids)).await
}

/// Reads the strings `keys`. The result has one element per key, in the same order: `None` where there is no such key.
///
/// # Errors
/// When Redis fails or does not answer within [`REQUEST_TIMEOUT`].
pub async fn strings(connection: &mut ConnectionManager, keys: &[String]) -> RedisResult<Vec<Option<Vec<u8>>>> {
    with_timeout(connection.mget(keys)).await
}

/// Sends the commands of `pipeline`, whose answers are ignored.
///
/// # Errors
/// When Redis fails or does not answer within [`REQUEST_TIMEOUT`]. Some or all commands may have been executed.
pub async fn send(connection: &mut ConnectionManager, pipeline: &Pipeline) -> RedisResult<()> {
    with_timeout(pipeline.query_async(connection)).await
}
