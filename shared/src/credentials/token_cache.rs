use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use anyhow::anyhow;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::OwnedMutexGuard;

use super::{
    token::Token,
    token_source::TokenSource,
    token_store::{LOCK_LIFETIME, TokenStore},
};

/// Interval at which an instance looks whether another one has renewed their token.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// How long a failed renewal is not repeated: its error is that of all who ask meanwhile.
const FAILURE_LIFETIME: Duration = Duration::from_secs(5);
/// A token that a server refuses so soon is not replaced: the next one would be refused as well, and a server of tokens
/// must not be flooded with requests.
const MIN_AGE_OF_REFUSED: Duration = Duration::from_secs(5);

/// Holds the token of a source and renews it. However many ask, one renewal runs at a time, in all instances that share
/// a store. It goes on when those who asked have given up.
pub struct TokenCache {
    source: TokenSource,
    store: Option<TokenStore>,
    key: String,
    held: Mutex<Held>,
    /// Locked during a renewal.
    renewal: Arc<tokio::sync::Mutex<Option<Failure>>>,
}

#[derive(Default)]
struct Held {
    token: Option<Token>,
    obtained: Option<Instant>,
    /// The last token that a server refused.
    refused: Option<SecretString>,
}

/// The last renewal, when it failed.
struct Failure {
    at: Instant,
    message: String,
}

impl TokenCache {
    /// An empty cache, whose token is shared through `store`.
    pub fn new(source: TokenSource, store: Option<TokenStore>) -> Self {
        let key = TokenStore::key(&source.identity());
        Self { source, store, key, held: Mutex::default(), renewal: Arc::default() }
    }

    /// Returns a valid password. While one is renewed, that is the old one until its end.
    ///
    /// # Errors
    /// When there is no valid password and the source gives none.
    pub async fn password(self: &Arc<Self>) -> anyhow::Result<SecretString> {
        let now = SystemTime::now();
        let token = self.held().token.clone();
        match token.filter(|token| token.is_valid(now)) {
            Some(token) if token.is_fresh(now) => Ok(token.secret().clone()),
            Some(token) => {
                if let Ok(renewal) = self.renewal.clone().try_lock_owned() {
                    tokio::spawn(self.clone().renewed(renewal));
                }
                Ok(token.secret().clone())
            }
            None => {
                let cache = self.clone();
                let renewing = async move { cache.clone().renewed(cache.renewal.clone().lock_owned().await).await };
                Ok(tokio::spawn(renewing).await??.secret().clone())
            }
        }
    }

    /// Forgets a password that a server refused. Returns whether another one may be tried.
    pub async fn forget(&self, refused: &SecretString) -> bool {
        let token = {
            let mut held = self.held();
            if held.obtained.is_some_and(|obtained| obtained.elapsed() < MIN_AGE_OF_REFUSED) {
                return false;
            }
            held.refused = Some(refused.clone());
            held.token.take_if(|token| is_same(token.secret(), refused))
        };
        if let (Some(token), Some(store)) = (token, &self.store)
            && let Err(error) = store.remove(&self.key, &token).await
        {
            tracing::warn!("{store}: a refused password can't be removed: {error:#}");
        }
        true
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Renews the token, unless another caller has done it, or has failed, just before.
    async fn renewed(self: Arc<Self>, mut failure: OwnedMutexGuard<Option<Failure>>) -> anyhow::Result<Token> {
        let token = self.held().token.clone();
        if let Some(token) = token.filter(|token| token.is_fresh(SystemTime::now())) {
            return Ok(token);
        }
        if let Some(failure) = failure.as_ref().filter(|failure| failure.at.elapsed() < FAILURE_LIFETIME) {
            return Err(anyhow!(failure.message.clone()));
        }
        let renewed = match &self.store {
            None => self.source.token().await,
            Some(store) => self.renew_shared(store).await,
        };
        match renewed {
            Ok(token) => {
                tracing::debug!("{}: the password is {token}", self.source.setting());
                *failure = None;
                let mut held = self.held();
                (held.token, held.obtained) = (Some(token.clone()), Some(Instant::now()));
                Ok(token)
            }
            Err(error) => {
                let message = format!("{error:#}");
                tracing::warn!("the password of the database can't be renewed: {message}");
                *failure = Some(Failure { at: Instant::now(), message });
                Err(error)
            }
        }
    }

    /// Takes the token that another instance has stored, or renews it for all. Without the store, renews it for this
    /// instance.
    async fn renew_shared(&self, store: &TokenStore) -> anyhow::Result<Token> {
        match self.stored_or_renewed(store).await {
            Ok(Some(renewed)) => renewed,
            Ok(None) => self.source.token().await,
            Err(error) => {
                tracing::warn!("{store}: passwords are not shared: {error:#}");
                self.source.token().await
            }
        }
    }

    /// The outer error is that of the store, the inner one that of the source. `None`: another instance renews the token
    /// for so long that it must have died.
    async fn stored_or_renewed(&self, store: &TokenStore) -> anyhow::Result<Option<anyhow::Result<Token>>> {
        let mut session = store.connect().await?;
        let started = Instant::now();
        while started.elapsed() < LOCK_LIFETIME {
            let stored = session.read(&self.key).await?;
            if let Some(token) = stored.filter(|token| self.is_usable(token)) {
                return Ok(Some(Ok(token)));
            }
            if let Some(lock) = session.lock(&self.key).await? {
                let token = self.source.token().await;
                if let Ok(token) = &token
                    && let Err(error) = session.write(&self.key, token).await
                {
                    tracing::warn!("{store}: a new password is not shared: {error:#}");
                }
                // One that is not released expires.
                let _released = session.release(lock).await;
                return Ok(Some(token));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(None)
    }

    fn is_usable(&self, stored: &Token) -> bool {
        let is_refused = self.held().refused.as_ref().is_some_and(|refused| is_same(stored.secret(), refused));
        stored.is_fresh(SystemTime::now()) && !is_refused
    }
}

fn is_same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache").field("source", &self.source).field("store", &self.store).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::PasswordCommand;

    fn cache(command: &str, token_age: Duration) -> Arc<TokenCache> {
        let command = PasswordCommand::new(command.into(), Duration::from_secs(900), "me".to_owned());
        let cache = TokenCache::new(TokenSource::Command(command), None);
        let token = Token::new("old".into(), SystemTime::now() - token_age, Duration::from_secs(900));
        cache.held().token = Some(token);
        Arc::new(cache)
    }

    async fn password(cache: &Arc<TokenCache>) -> Result<String, String> {
        let password = cache.password().await.map_err(|error| format!("{error:#}"));
        password.map(|password| password.expose_secret().to_owned())
    }

    #[tokio::test]
    async fn the_old_password_is_used_while_it_is_renewed_until_its_end() {
        let fresh = cache("echo new", Duration::from_secs(800));
        assert_eq!(password(&fresh).await.as_deref(), Ok("old"));
        let stale = cache("echo new", Duration::from_secs(850));
        assert_eq!(password(&stale).await.as_deref(), Ok("old"));
        while password(&stale).await.as_deref() != Ok("new") {
            tokio::task::yield_now().await;
        }
        let expired = cache("echo new", Duration::from_secs(901));
        assert_eq!(password(&expired).await.as_deref(), Ok("new"));
    }

    #[tokio::test]
    async fn a_failed_renewal_is_the_error_of_all_who_ask_and_is_not_repeated_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let runs = folder.path().join("runs");
        let cache = cache(&format!("echo run >> {}; exit 1", runs.display()), Duration::from_secs(901));
        let all = (0..5).map(|_| {
            tokio::spawn({
                let cache = cache.clone();
                async move { password(&cache).await }
            })
        });
        for one in all.collect::<Vec<_>>() {
            assert!(one.await.unwrap().unwrap_err().starts_with("POSTGRES_PASSWORD_COMMAND: exit status: 1"));
        }
        assert_eq!(std::fs::read_to_string(runs).unwrap(), "run\n");
    }

    #[tokio::test]
    async fn a_refused_password_is_replaced_but_not_one_that_is_new() {
        let cache = cache("echo new", Duration::from_secs(10));
        assert!(cache.forget(&"old".into()).await);
        assert_eq!(password(&cache).await.as_deref(), Ok("new"));
        assert!(!cache.forget(&"new".into()).await);
        assert_eq!(password(&cache).await.as_deref(), Ok("new"));
    }
}
