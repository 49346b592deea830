//! The cache in Redis: its settings, its keys, and the commands that read it.
//!
//! It has two hashes, of users and of products. Only the cache-worker writes them. The producer draws random rows from
//! them, the consumer looks up rows by id. The names of all keys contain `{cache}`, a hash tag: in a Redis Cluster they
//! are in one slot, so that a transaction and a script can use several of them.

use std::{future::Future, net::SocketAddr, time::Duration};

use anyhow::{Context, anyhow};
use chrono::{DateTime, Utc};
use clap::Args;
use redis::{
    AsyncCommands, Client, IntoConnectionInfo, RedisError, RedisResult,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use url::Url;

use crate::secret::{self, UrlParser};

/// Timeout of one command, reconnecting included.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);

/// The settings of the cache: address, password and key prefix.
#[derive(Clone, Debug, Args)]
pub struct CacheSettings {
    /// Redis URL: redis://HOST:PORT, or rediss:// for TLS; user and password as USER:PASSWORD@ before the host. With a
    /// password it is accepted in the environment and in .env only.
    #[arg(
        long,
        env = "REDIS_URL",
        default_value = "redis://127.0.0.1:16379",
        hide_env_values = true,
        value_parser = UrlParser {
            instead: "set REDIS_URL in the environment or in .env, or leave the password out and set REDIS_PASSWORD or \
                      --redis-password-file",
            has_password,
        },
        help_heading = "Redis"
    )]
    redis_url: SecretString,
    /// File with the password, which is else in REDIS_PASSWORD or in the URL.
    #[arg(
        long,
        env = "REDIS_PASSWORD_FILE",
        value_name = "FILE",
        value_parser = secret::file,
        help_heading = "Redis"
    )]
    redis_password_file: Option<SecretString>,
    #[arg(skip = secret::variable("REDIS_PASSWORD"))]
    redis_password: Option<SecretString>,
    /// Prefix of every key, so that several pipelines can share one Redis.
    #[arg(long, env = "REDIS_PREFIX", default_value = "", help_heading = "Redis")]
    pub redis_prefix: String,
}

impl CacheSettings {
    /// These settings as environment variables for a child process. They include the password, and an empty name of its
    /// file: the child must not read one that it inherits.
    pub fn environment(&self) -> Vec<(String, String)> {
        let url = self.redis_url.expose_secret();
        let password = self.password().map(ExposeSecret::expose_secret);
        [
            ("REDIS_URL", Some(url)),
            ("REDIS_PASSWORD_FILE", Some("")),
            ("REDIS_PASSWORD", password),
            ("REDIS_PREFIX", Some(&self.redis_prefix)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect()
    }

    /// The same cache, reached at another address, such as that of a proxy.
    ///
    /// # Errors
    /// When `REDIS_URL` is not a URL with a host.
    pub fn at(&self, address: SocketAddr) -> anyhow::Result<Self> {
        let mut url = Url::parse(self.redis_url.expose_secret()).map_err(|_| invalid_url())?;
        url.set_ip_host(address.ip()).and_then(|()| url.set_port(Some(address.port()))).map_err(|()| invalid_url())?;
        Ok(Self { redis_url: url.to_string().into(), ..self.clone() })
    }

    fn password(&self) -> Option<&SecretString> {
        secret::of_file_or_variable(&self.redis_password_file, &self.redis_password)
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

    /// The names of the keys of earlier versions, which had no hash tag: users, products, time and epoch.
    pub fn keys_of_earlier_versions(&self) -> [String; 4] {
        ["users", "products", "refreshed_at", "epoch"].map(|name| format!("{}cache:{name}", self.redis_prefix))
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
        let info = self.redis_url.expose_secret().into_connection_info().map_err(|_| invalid_url())?;
        let info = match self.password() {
            Some(password) => {
                let settings = info.redis_settings().clone().set_password(password.expose_secret());
                info.set_redis_settings(settings)
            }
            None => info,
        };
        Client::open(info).map_err(|_| invalid_url())
    }
}

fn has_password(url: &str) -> bool {
    let in_query = |url: &Url| url.query_pairs().any(|(name, _)| name == "pass");
    Url::parse(url).is_ok_and(|url| url.password().is_some() || in_query(&url))
}

/// The error has no part of the URL, which may have a password.
fn invalid_url() -> anyhow::Error {
    anyhow!("REDIS_URL is not a Redis URL: write redis://USER:PASSWORD@HOST:PORT, with %2F for a / in a password")
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct TestCommand {
        #[command(flatten)]
        cache: CacheSettings,
    }

    fn parse(arguments: &[&str]) -> Result<CacheSettings, clap::Error> {
        TestCommand::try_parse_from(["test"].iter().chain(arguments)).map(|command| command.cache)
    }

    #[test]
    fn every_key_has_the_hash_tag_after_the_prefix() {
        let keys = |prefix| parse(&["--redis-prefix", prefix]).unwrap().keys();
        assert_eq!(keys("").users, "{cache}:users");
        assert_eq!(keys("app:").refreshed_at, "app:{cache}:refreshed_at");
    }

    #[test]
    fn a_password_on_the_command_line_is_refused_without_being_printed() {
        for url in ["redis://me:hunter2@host:1", "rediss://:hunter2@host", "redis+unix:///socket?pass=hunter2"] {
            for arguments in [&["--redis-url", url][..], &[&format!("--redis-url={url}")]] {
                let message = parse(arguments).unwrap_err().to_string();
                assert!(message.contains("set REDIS_URL in the environment"), "{message}");
                assert!(message.contains("--redis-password-file") && !message.contains("hunter2"), "{message}");
            }
        }
        assert!(parse(&["--redis-url", "redis://me@host:1"]).is_ok());
    }

    #[test]
    fn the_password_of_a_file_is_used_and_passed_on_to_programs_and_not_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hunter2/@:\n").unwrap();
        let path = file.path().to_str().unwrap();
        let cache = parse(&["--redis-url", "redis://me@host:1", "--redis-password-file", path]).unwrap();
        let client = cache.client().unwrap();
        assert_eq!(client.get_connection_info().redis_settings().password(), Some("hunter2/@:"));
        assert_eq!(client.get_connection_info().redis_settings().username(), Some("me"));
        let environment = cache.environment();
        for (name, value) in [("REDIS_PASSWORD", "hunter2/@:"), ("REDIS_PASSWORD_FILE", "")] {
            assert!(environment.contains(&(name.to_owned(), value.to_owned())), "{environment:?}");
        }
        assert!(!format!("{cache:?} {}", cache.address()).contains("hunter2"));
        let elsewhere = cache.at("127.0.0.1:7".parse().unwrap()).unwrap();
        assert_eq!(elsewhere.address(), "127.0.0.1:7");
        assert_eq!(elsewhere.password().unwrap().expose_secret(), "hunter2/@:");
    }

    #[test]
    fn a_url_that_is_none_is_not_printed() {
        let cache = parse(&["--redis-url", "http//me:hunter2@host"]).unwrap();
        let message = format!("{:#}", cache.client().unwrap_err());
        assert!(message.contains("REDIS_URL is not a Redis URL") && !message.contains("hunter2"), "{message}");
    }
}
