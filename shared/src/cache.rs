//! The Redis hashes of users and products: their names, and how to reach and read them.
//!
//! Only the cache-worker writes them; the producer samples and the consumer looks up.

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

/// How long a command may take.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);

/// How to reach the cache.
#[derive(Clone, Debug, Args)]
pub struct CacheSettings {
    /// Redis: redis://HOST:PORT, rediss:// for TLS, user and password as in any URL.
    #[arg(
        long,
        env = "REDIS_URL",
        default_value = "redis://127.0.0.1:16379",
        hide_env_values = true,
        help_heading = "Redis"
    )]
    pub redis_url: SecretString,
    /// Put before every key, so that several pipelines can share one Redis.
    #[arg(long, env = "REDIS_PREFIX", default_value = "", help_heading = "Redis")]
    pub redis_prefix: String,
}

impl CacheSettings {
    /// The same settings as environment variables, for a program that is started with them; with the secrets.
    pub fn environment(&self) -> Vec<(String, String)> {
        let url = self.redis_url.expose_secret().to_owned();
        vec![("REDIS_URL".to_owned(), url), ("REDIS_PREFIX".to_owned(), self.redis_prefix.clone())]
    }

    /// Host and port, for messages: never the password.
    pub fn address(&self) -> String {
        match Url::parse(self.redis_url.expose_secret()) {
            Ok(url) => format!("{}:{}", url.host_str().unwrap_or("?"), url.port().unwrap_or(6379)),
            Err(_) => "an address that is no URL".to_owned(),
        }
    }

    /// The names of the keys.
    pub fn keys(&self) -> CacheKeys {
        let key = |name: &str| format!("{}cache:{name}", self.redis_prefix);
        CacheKeys {
            users: key("users"),
            products: key("products"),
            refreshed_at: key("refreshed_at"),
            epoch: key("epoch"),
            staging_users: key("staging:users"),
            staging_products: key("staging:products"),
        }
    }

    /// A connection that comes back by itself; each call fails after a second without an answer (invariant 12).
    ///
    /// # Errors
    /// When Redis doesn't answer within `timeout`, or refuses.
    pub async fn connect(&self, timeout: Duration) -> anyhow::Result<ConnectionManager> {
        let client = self.client()?;
        let connecting = tokio::time::timeout(timeout, client.get_connection_manager_with_config(connection_config()));
        let unreachable = || {
            format!(
                "Redis at {} can't be reached: is it running (deploy/stack up), is REDIS_URL right?",
                self.address()
            )
        };
        connecting.await.with_context(unreachable)?.with_context(unreachable)
    }

    /// The same, for a program that can do without: Redis need not be there yet.
    ///
    /// # Errors
    /// When `REDIS_URL` is none.
    pub fn connect_lazily(&self) -> anyhow::Result<ConnectionManager> {
        self.client()?.get_connection_manager_lazy(connection_config()).context("the Redis client can't be made")
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

/// The names of the keys, prefix included.
#[derive(Clone, Debug)]
pub struct CacheKeys {
    /// Hash: user id → JSON of the user.
    pub users: String,
    /// Hash: product id → JSON of the product.
    pub products: String,
    /// When the hashes were last swapped, RFC 3339.
    pub refreshed_at: String,
    /// The number of the last round that was swapped in.
    pub epoch: String,
    /// Where the next users are written before the swap.
    pub staging_users: String,
    /// Where the next products are written before the swap.
    pub staging_products: String,
}

impl CacheKeys {
    /// What to tell a person whose cache is empty.
    pub fn empty(&self) -> String {
        format!(
            "the cache is empty ({} and {} have no rows): seed the database (orderdb seed) and run the cache-worker first",
            self.users, self.products
        )
    }
}

/// The connection's own deadline counts from when it is there; this one counts the reconnecting as well (invariant 12).
async fn with_timeout<T>(call: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    let late = || RedisError::from(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer within a second"));
    tokio::time::timeout(REQUEST_TIMEOUT, call).await.unwrap_or_else(|_| Err(late()))
}

/// Draws `count` rows of hash `key` at random, with repetition. Empty when the hash is.
///
/// # Errors
/// When Redis fails. A row that is not what the cache-worker writes is left out.
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

/// All rows of hash `key`, in no particular order. Empty when the hash is.
///
/// # Errors
/// When Redis fails. A row that is not what the cache-worker writes is left out.
pub async fn all<Row: DeserializeOwned>(connection: &mut ConnectionManager, key: &str) -> RedisResult<Vec<Row>> {
    let rows: Vec<String> = with_timeout(connection.hvals(key)).await?;
    Ok(rows.iter().filter_map(|json| serde_json::from_str(json).ok()).collect())
}

/// What is there, without its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents {
    /// Rows of the users' hash, 0 when there is none.
    pub users: usize,
    /// Rows of the products' hash.
    pub products: usize,
    /// When the hashes were last swapped; nothing when they never were.
    pub refreshed_at: Option<DateTime<Utc>>,
}

/// What is there now.
///
/// # Errors
/// When Redis fails.
pub async fn contents(connection: &mut ConnectionManager, keys: &CacheKeys) -> RedisResult<Contents> {
    let mut asked = redis::pipe();
    asked.atomic().hlen(&keys.users).hlen(&keys.products).get(&keys.refreshed_at);
    let (users, products, time): (usize, usize, Option<String>) = with_timeout(asked.query_async(connection)).await?;
    Ok(Contents { users, products, refreshed_at: time.and_then(|time| time.parse().ok()) })
}

/// When the hashes were last swapped; nothing when they never were.
///
/// # Errors
/// When Redis fails.
pub async fn refreshed_at(connection: &mut ConnectionManager, keys: &CacheKeys) -> RedisResult<Option<DateTime<Utc>>> {
    let time: Option<String> = with_timeout(connection.get(&keys.refreshed_at)).await?;
    Ok(time.and_then(|time| time.parse().ok()))
}

/// Looks up `ids` in hash `key`; the answer has one place an id, empty where the hash doesn't have it.
///
/// # Errors
/// When Redis fails.
pub async fn lookup<Row: DeserializeOwned>(
    connection: &mut ConnectionManager,
    key: &str,
    ids: &[&str],
) -> RedisResult<Vec<Option<Row>>> {
    let rows: Vec<Option<String>> = with_timeout(connection.hmget(key, ids)).await?;
    Ok(rows.into_iter().map(|json| json.and_then(|json| serde_json::from_str(&json).ok())).collect())
}
