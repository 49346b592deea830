//! How to reach Redis.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, anyhow};
use clap::Args;
use redis::{
    Client, IntoConnectionInfo,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::keys::CacheKeys;
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
        hide_env_values = true,
        value_parser = UrlParser {
            instead: "set REDIS_URL in the environment or in .env, or leave the password out and set REDIS_PASSWORD or \
                      --redis-password-file",
            has_password,
        },
        help_heading = "Redis"
    )]
    redis_url: Option<SecretString>,
    /// Host, without a URL.
    #[arg(long, env = "REDIS_HOST", default_value = "127.0.0.1", help_heading = "Redis")]
    redis_host: String,
    /// Port, without a URL.
    #[arg(long, env = "REDIS_PORT", default_value_t = 16379, help_heading = "Redis")]
    redis_port: u16,
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
        let port = self.redis_port.to_string();
        let password = self.password().map(ExposeSecret::expose_secret);
        [
            ("REDIS_URL", self.redis_url.as_ref().map(ExposeSecret::expose_secret)),
            ("REDIS_HOST", Some(self.redis_host.as_str())),
            ("REDIS_PORT", Some(&port)),
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
        let mut url = self.url()?;
        url.set_ip_host(address.ip()).and_then(|()| url.set_port(Some(address.port()))).map_err(|()| invalid_url())?;
        Ok(Self { redis_url: Some(url.to_string().into()), ..self.clone() })
    }

    /// That of `REDIS_URL`, else of host and port.
    fn url(&self) -> anyhow::Result<Url> {
        match self.redis_url.as_ref().filter(|url| !url.expose_secret().is_empty()) {
            Some(url) => Url::parse(url.expose_secret()).map_err(|_| invalid_url()),
            None => {
                let host = match self.redis_host.parse() {
                    Ok(IpAddr::V6(address)) => format!("[{address}]"),
                    _ => self.redis_host.clone(),
                };
                let url = Url::parse(&format!("redis://{host}:{}", self.redis_port)).ok();
                let url = url.filter(|url| url.username().is_empty() && url.path().is_empty());
                url.context("REDIS_HOST is not a host: write a name or an IP address, and anything else in REDIS_URL")
            }
        }
    }

    /// The cache of a database that was selected by its name: with the name as prefix, unless one is set. Rows of one
    /// database are never those of another.
    pub fn of_database(&self, name: Option<&str>) -> Self {
        match name {
            Some(name) if self.redis_prefix.is_empty() => Self { redis_prefix: format!("{name}:"), ..self.clone() },
            _ => self.clone(),
        }
    }

    fn password(&self) -> Option<&SecretString> {
        secret::of_file_or_variable(&self.redis_password_file, &self.redis_password)
    }

    /// `HOST:PORT`, for messages. It never includes the password.
    pub fn address(&self) -> String {
        match self.url() {
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
            entries: key(""),
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
                "Redis at {} can't be reached: check that it runs (deploy/stack up) and that REDIS_URL, or REDIS_HOST and \
                 REDIS_PORT, are right",
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
        let info = self.url()?.into_connection_info().map_err(|_| invalid_url())?;
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

/// Whether a URL of Redis has a password.
pub(crate) fn has_password(url: &str) -> bool {
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

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, FromArgMatches, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct TestCommand {
        #[command(flatten)]
        cache: CacheSettings,
    }

    fn parse(arguments: &[&str]) -> Result<CacheSettings, clap::Error> {
        // The environment of the tests must not matter.
        let command = TestCommand::command().mut_args(|argument| argument.env("NEVER_SET"));
        let matches = command.try_get_matches_from(["test"].iter().chain(arguments))?;
        TestCommand::from_arg_matches(&matches).map(|command| command.cache)
    }

    #[test]
    fn every_key_has_the_hash_tag_after_the_prefix() {
        let keys = |prefix| parse(&["--redis-prefix", prefix]).unwrap().keys();
        assert_eq!(keys("").users, "{cache}:users");
        assert_eq!(keys("app:").refreshed_at, "app:{cache}:refreshed_at");
        assert_eq!(keys("app:").entry("order", "7"), "app:{cache}:order:7");
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
    fn host_and_port_take_the_place_of_a_url() {
        let address = |arguments: &[&str]| parse(arguments).unwrap().address();
        assert_eq!(address(&[]), "127.0.0.1:16379");
        assert_eq!(address(&["--redis-host", "redis.example.com", "--redis-port", "1"]), "redis.example.com:1");
        assert_eq!(address(&["--redis-host", "::1"]), "[::1]:16379");
        assert_eq!(address(&["--redis-url", "", "--redis-host", "redis"]), "redis:16379");
        assert_eq!(address(&["--redis-url", "redis://other", "--redis-host", "redis"]), "other:6379");
        for host in ["me:hunter2@redis", "redis/1", "redis:1"] {
            let message = format!("{:#}", parse(&["--redis-host", host]).unwrap().client().unwrap_err());
            assert!(message.contains("REDIS_HOST is not a host") && !message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn a_url_that_is_none_is_not_printed() {
        let cache = parse(&["--redis-url", "http//me:hunter2@host"]).unwrap();
        let message = format!("{:#}", cache.client().unwrap_err());
        assert!(message.contains("REDIS_URL is not a Redis URL") && !message.contains("hunter2"), "{message}");
    }
}
