use std::{
    fmt,
    time::{Duration, SystemTime},
};

use anyhow::{Context, ensure};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ExistenceCheck, Script, SetExpiry, SetOptions,
    aio::MultiplexedConnection,
};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::token::Token;
use crate::tls::is_this_machine;

const TIMEOUT: Duration = Duration::from_secs(2);
/// How long the lock of an instance that died keeps the others from a renewal: longer than a renewal may take.
pub(super) const LOCK_LIFETIME: Duration = Duration::from_secs(20);

/// Shares a token between instances through Redis, where it stays until it expires. An instance that starts again finds
/// it there.
#[derive(Clone)]
pub struct TokenStore {
    client: Client,
    address: String,
}

/// A connection to the store.
pub(super) struct StoreSession {
    redis: MultiplexedConnection,
}

/// The right to renew the token of a key. Without [`release`](Self::release), it ends after 20 s.
pub(super) struct RenewalLock {
    key: String,
    owner: String,
}

impl TokenStore {
    /// For the Redis of a `rediss://` URL, or of a `redis://` URL of this machine. Does not connect.
    ///
    /// # Errors
    /// When it is no such URL. The message has no part of it.
    pub fn new(url: &SecretString) -> anyhow::Result<Self> {
        let client = Client::open(url.expose_secret()).ok();
        let client = client.context("DB_TOKEN_REDIS_URL is not a Redis URL: write redis://USER:PASSWORD@HOST:PORT")?;
        let address = client.get_connection_info().addr();
        if let ConnectionAddr::Tcp(host, _) = address {
            ensure!(
                is_this_machine(host),
                "DB_TOKEN_REDIS_URL would send passwords without encryption: write rediss://"
            );
        }
        let address = address.to_string();
        Ok(Self { client, address })
    }

    /// The key of a token. The identity may contain secrets, such as a command, so it is a digest.
    pub(super) fn key(identity: &str) -> String {
        let digest = Sha256::digest(identity);
        let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{{orderflow:token:{digits}}}")
    }

    /// Connects.
    ///
    /// # Errors
    /// When Redis does not answer within 2 s.
    pub(super) async fn connect(&self) -> anyhow::Result<StoreSession> {
        let config = AsyncConnectionConfig::new();
        let config = config.set_connection_timeout(Some(TIMEOUT)).set_response_timeout(Some(TIMEOUT));
        Ok(StoreSession { redis: self.client.get_multiplexed_async_connection_with_config(&config).await? })
    }

    /// Removes a token that a server refused, unless there is another one by now.
    ///
    /// # Errors
    /// When Redis does not answer within 2 s.
    pub(super) async fn remove(&self, key: &str, refused: &Token) -> anyhow::Result<()> {
        self.connect().await?.remove_value(key, refused.to_json()?.expose_secret()).await
    }
}

impl StoreSession {
    /// The token of a key.
    ///
    /// # Errors
    /// When Redis does not answer within 2 s.
    pub(super) async fn read(&mut self, key: &str) -> anyhow::Result<Option<Token>> {
        let json: Option<String> = redis::cmd("GET").arg(key).query_async(&mut self.redis).await?;
        Ok(json.and_then(|json| Token::from_json(&json)))
    }

    /// Stores a token until it expires.
    ///
    /// # Errors
    /// When Redis does not answer within 2 s.
    pub(super) async fn write(&mut self, key: &str, token: &Token) -> anyhow::Result<()> {
        let lifetime = token.time_left(SystemTime::now()).as_millis().max(1);
        let mut command = redis::cmd("SET");
        command.arg(key).arg(token.to_json()?.expose_secret()).arg("PX").arg(u64::try_from(lifetime)?);
        Ok(command.query_async(&mut self.redis).await?)
    }

    /// Takes the lock of a key; `None` while another instance has it.
    ///
    /// # Errors
    /// When Redis does not answer within 2 s.
    pub(super) async fn lock(&mut self, key: &str) -> anyhow::Result<Option<RenewalLock>> {
        let owner = uuid::Builder::from_random_bytes(rand::random()).into_uuid().to_string();
        let lock = RenewalLock { key: format!("{key}:lock"), owner };
        let expiry = SetExpiry::PX(LOCK_LIFETIME.as_millis() as u64);
        let options = SetOptions::default().conditional_set(ExistenceCheck::NX).with_expiration(expiry);
        let mut command = redis::cmd("SET");
        command.arg(&lock.key).arg(&lock.owner).arg(options);
        let taken: Option<String> = command.query_async(&mut self.redis).await?;
        Ok(taken.map(|_| lock))
    }

    /// Releases a lock. One that has ended meanwhile may be another instance's, which keeps it.
    ///
    /// # Errors
    /// When Redis does not answer within 2 s.
    pub(super) async fn release(&mut self, lock: RenewalLock) -> anyhow::Result<()> {
        self.remove_value(&lock.key, &lock.owner).await
    }

    async fn remove_value(&mut self, key: &str, value: &str) -> anyhow::Result<()> {
        let script = Script::new("if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end");
        Ok(script.key(key).arg(value).invoke_async(&mut self.redis).await?)
    }
}

impl fmt::Display for TokenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redis at {}", self.address)
    }
}

/// Without the URL, which may have a password.
impl fmt::Debug for TokenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
