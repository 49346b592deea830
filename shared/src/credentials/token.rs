use std::{
    fmt,
    time::{Duration, SystemTime},
};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// How long before its end a token is renewed: longer than a connection takes to open, and than clocks differ.
const RENEWAL_MARGIN: Duration = Duration::from_secs(60);

/// A longer lifetime is of no use, and may be more than a time can have.
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// A password, and the time until which it is valid. `Debug` does not show the password.
#[derive(Clone, Debug)]
pub struct Token {
    secret: SecretString,
    renew_at: SystemTime,
    expires_at: SystemTime,
}

/// The form in Redis.
#[derive(Serialize, Deserialize)]
struct StoredToken {
    secret: String,
    renew_at: SystemTime,
    expires_at: SystemTime,
}

impl Token {
    /// A token that is valid for `lifetime` from `issued_at` on. It is renewed a minute before its end, or at half its
    /// lifetime if that is less than two minutes. At most a day counts.
    pub fn new(secret: SecretString, issued_at: SystemTime, lifetime: Duration) -> Self {
        let lifetime = lifetime.min(MAX_LIFETIME);
        let margin = RENEWAL_MARGIN.min(lifetime / 2);
        Self { secret, renew_at: issued_at + (lifetime - margin), expires_at: issued_at + lifetime }
    }

    /// The password.
    pub fn secret(&self) -> &SecretString {
        &self.secret
    }

    /// Whether it is not yet time to renew it.
    pub fn is_fresh(&self, now: SystemTime) -> bool {
        now < self.renew_at
    }

    /// Whether servers accept it.
    pub fn is_valid(&self, now: SystemTime) -> bool {
        now < self.expires_at
    }

    /// Time until the end, zero after it.
    pub(super) fn time_left(&self, now: SystemTime) -> Duration {
        self.expires_at.duration_since(now).unwrap_or_default()
    }

    /// As JSON, with the password.
    pub(super) fn to_json(&self) -> serde_json::Result<SecretString> {
        let &Self { renew_at, expires_at, .. } = self;
        let secret = self.secret.expose_secret().to_owned();
        serde_json::to_string(&StoredToken { secret, renew_at, expires_at }).map(SecretString::from)
    }

    /// `None` for text that is not that of [`Self::to_json`].
    pub(super) fn from_json(json: &str) -> Option<Self> {
        let StoredToken { secret, renew_at, expires_at } = serde_json::from_str(json).ok()?;
        Some(Self { secret: secret.into(), renew_at, expires_at })
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "valid until {}", humantime::format_rfc3339_seconds(self.expires_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_token_is_renewed_a_minute_before_its_end_or_at_half_a_short_life() {
        for (lifetime, renewed) in [(900, 840), (120, 60), (10, 5)] {
            let token = Token::new("hunter2".into(), at(1_000), Duration::from_secs(lifetime));
            assert!(token.is_fresh(at(1_000 + renewed - 1)) && !token.is_fresh(at(1_000 + renewed)), "{lifetime}");
            assert!(token.is_valid(at(1_000 + lifetime - 1)) && !token.is_valid(at(1_000 + lifetime)), "{lifetime}");
        }
    }

    #[test]
    fn a_token_is_stored_as_it_is_and_never_shown() {
        let token = Token::new("hunter2".into(), at(1_000), Duration::from_secs(900));
        let stored = Token::from_json(token.to_json().unwrap().expose_secret()).unwrap();
        assert_eq!(stored.secret().expose_secret(), "hunter2");
        assert_eq!((stored.renew_at, stored.expires_at), (token.renew_at, token.expires_at));
        assert!(!format!("{token:?} {token}").contains("hunter2"));
        assert!(Token::from_json("hunter2").is_none());
    }
}
