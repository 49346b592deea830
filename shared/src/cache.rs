//! The cache in Redis: its settings, its keys, and the commands that read it.
//!
//! It has two hashes, of users and of products. Only the cache-worker writes them. The producer draws random rows from
//! them, the consumer looks up rows by id. The names of all keys contain `{cache}`, a hash tag: in a Redis Cluster they
//! are in one slot, so that a transaction and a script can use several of them.

use std::{future::Future, time::Duration};

use anyhow::{Context, anyhow};
use chrono::{DateTime, Utc};
use clap::Args;
use redis::{
    AsyncCommands, Client, RedisError, RedisResult,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use url::Url;

/// Timeout of one command, reconnecting included.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);

/// The settings of the cache: address and key prefix.
#[derive(Clone, Debug, Args)]
pub struct CacheSettings {
    /// Redis URL: redis://HOST:PORT, or rediss:// for TLS; user and password as USER:PASSWORD@ before the host.
    #[arg(
        long,
        env = "REDIS_URL",
        default_value = "redis://127.0.0.1:16379",
        hide_env_values = true,
        help_heading = "Redis"
    )]
    pub redis_url: SecretString,
    /// Prefix of every key, so that several pipelines can share one Redis.
    #[arg(long, env = "REDIS_PREFIX", default_value = "", help_heading = "Redis")]
    pub redis_prefix: String,
}

impl CacheSettings {
    /// These settings as environment variables for a child process. They include the password.
    pub fn environment(&self) -> Vec<(String, String)> {
        let url = self.redis_url.expose_secret().to_owned();
        vec![("REDIS_URL".to_owned(), url), ("REDIS_PREFIX".to_owned(), self.redis_prefix.clone())]
    }

    /// `HOST:PORT`, for messages. It never includes the password.
    pub fn address(&self) -> String {
        match Url::parse(self.redis_url.expose_secret()) {
            Ok(url) => format!("{}:{}", url.host_str().unwrap_or("?"), url.port().unwrap_or(6379)),
            Err(_) => "an invalid URL".to_owned(),
        }
    }

    /// The names of all keys, each with the prefix. A prefix with a hash tag of its own decides on the slot.
    pub fn keys(&self) -> CacheKeys {
        let key = |name: &str| format!("{}{{cache}}:{name}", self.redis_prefix);
        CacheKeys {
            users: key("users"),
            products: key("products"),
            refreshed_at: key("refreshed_at"),
            epoch: key("epoch"),
            staging_users: key("staging:users"),
            staging_products: key("staging:products"),
        }
    }

    /// Connects. The connection reconnects by itself. Each command fails after [`REQUEST_TIMEOUT`] (invariant 12).
    ///
    /// # Errors
    /// When Redis does not answer within `timeout`, or refuses the connection.
    pub async fn connect(&self, timeout: Duration) -> anyhow::Result<ConnectionManager> {
        let client = self.client()?;
        let connecting = tokio::time::timeout(timeout, client.get_connection_manager_with_config(connection_config()));
        let unreachable = || {
            format!(
                "Redis at {} can't be reached: check that it runs (deploy/stack up) and that REDIS_URL is right",
                self.address()
            )
        };
        connecting.await.with_context(unreachable)?.with_context(unreachable)
    }

    /// As [`Self::connect`], but connects at the first command, for a program that also works without Redis.
    ///
    /// # Errors
    /// When `REDIS_URL` is not a Redis URL.
    pub fn connect_lazily(&self) -> anyhow::Result<ConnectionManager> {
        self.client()?.get_connection_manager_lazy(connection_config()).context("the Redis client can't be created")
    }

    fn client(&self) -> anyhow::Result<Client> {
        Client::open(self.redis_url.expose_secret()).map_err(|_| {
            anyhow!(
                "REDIS_URL is not a Redis URL: write redis://USER:PASSWORD@HOST:PORT, with %2F for a / in a password"
            )
        })
    }
}

fn connection_config() -> ConnectionManagerConfig {
    ConnectionManagerConfig::new()
        .set_connection_timeout(Some(Duration::from_secs(2)))
        .set_response_timeout(Some(REQUEST_TIMEOUT))
        .set_number_of_retries(2)
        .set_max_delay(Duration::from_secs(1))
}

/// The names of the keys, each with the prefix.
#[derive(Clone, Debug)]
    /// The names of the keys of earlier versions, which had no hash tag: users, products, time and epoch.
    pub fn keys_of_earlier_versions(&self) -> [String; 4] {
        ["users", "products", "refreshed_at", "epoch"].map(|name| format!("{}cache:{name}", self.redis_prefix))
    }

pub struct CacheKeys {
    /// Hash: user id → the user as JSON.
    pub users: String,
    /// Hash: product id → the product as JSON.
    pub products: String,
    /// Time of the last swap of both hashes, RFC 3339.
    pub refreshed_at: String,
    /// Number of the round that did the last swap. It only grows.
    pub epoch: String,
    /// Hash that the next users are written to before the swap.
    pub staging_users: String,
    /// Hash that the next products are written to before the swap.
    pub staging_products: String,
}

impl CacheKeys {
    /// The error message for an empty cache, with the commands that fill it.
    pub fn empty(&self) -> String {
        format!(
            "the cache is empty ({} and {} have no rows): run `orderdb seed`, then run `cache-worker`",
            self.users, self.products
        )
    }
}

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

/// Looks up `ids` in hash `key`. The result has one element per id, in the same order: `None` where the hash has no such
/// id, an error where its row is not valid JSON of a `Row`.
///
/// # Errors
/// When Redis fails or does not answer within [`REQUEST_TIMEOUT`].
pub async fn lookup<Row: DeserializeOwned>(
    connection: &mut ConnectionManager,
    key: &str,
    ids: &[&str],
) -> RedisResult<Vec<Option<serde_json::Result<Row>>>> {
    let rows: Vec<Option<Vec<u8>>> = with_timeout(connection.hmget(key, ids)).await?;
    Ok(rows.into_iter().map(|json| json.map(|json| serde_json::from_slice(&json))).collect())
}
