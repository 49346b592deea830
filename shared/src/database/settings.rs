use std::{
    fmt,
    net::IpAddr,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::{Config, config::Host};

use super::{
    pooler::Pooler,
    tls::{Tls, TlsOptions},
};
use crate::{credentials::TokenCache, tls::is_this_machine};

/// Address, database, user, password and TLS settings of a PostgreSQL server. `Display` shows database, host and port,
/// never the password.
#[derive(Clone)]
pub struct DatabaseSettings {
    pub(super) config: Config,
    pub(super) tls: Tls,
    /// Those that `tls` was read from, with the mode that applies.
    pub(super) tls_options: TlsOptions,
    /// `None`: to be detected.
    pub(super) pooler: Option<Pooler>,
    /// After it, a connection is replaced. `None`: never.
    pub(super) max_lifetime: Option<Duration>,
    /// Number of times that all connections were given up. Clones share it.
    pub(super) generation: Arc<AtomicU64>,
    /// `None`: the password, if any, is that of `config`.
    pub(super) short_lived: Option<Arc<TokenCache>>,
    /// Name by which it was selected.
    pub(super) name: Option<String>,
    /// The server behind the pooler.
    pub(super) direct: Option<Box<DatabaseSettings>>,
}

impl DatabaseSettings {
    /// The same server with database `name`.
    pub fn with_database(&self, name: &str) -> Self {
        let mut other = self.clone();
        other.config.dbname(name);
        other.direct = self.direct.as_ref().map(|direct| Box::new(direct.with_database(name)));
        other
    }

    /// The settings of the server itself, when these are those of a pooler in front of it.
    pub fn direct(&self) -> &Self {
        self.direct.as_deref().unwrap_or(self)
    }

    /// Whether these are the settings of a pooler. One that is not named as such is detected at the first connection.
    pub fn has_pooler(&self) -> bool {
        self.direct.is_some() || matches!(self.pooler, Some(Pooler::Session | Pooler::Transaction))
    }

    /// The same settings with the password of now, for a program of another project, when it is a short-lived one.
    ///
    /// # Errors
    /// When its source gives none.
    pub async fn with_current_password(&self) -> anyhow::Result<Self> {
        let mut settings = self.clone();
        if let Some(passwords) = settings.short_lived.take() {
            settings.config.password(passwords.password().await?.expose_secret());
        }
        Ok(settings)
    }

    /// User and password for a program of another project. Each is empty when it is not set.
    pub fn credentials(&self) -> (String, SecretString) {
        let password = self.config.get_password().map(String::from_utf8_lossy).unwrap_or_default();
        (self.config.get_user().unwrap_or_default().to_owned(), SecretString::from(password.into_owned()))
    }

    /// Whether every host is this machine: a loopback address, `localhost` or a socket file. What is at the other end
    /// of a tunnel looks local. The server behind a pooler counts as well.
    pub fn is_local(&self) -> bool {
        is_local(&self.config) && self.direct.as_ref().is_none_or(|direct| is_local(&direct.config))
    }

    /// Whether connections are encrypted.
    pub fn uses_tls(&self) -> bool {
        matches!(self.tls, Tls::Enabled(_))
    }

    /// `HOST:PORT/DATABASE`, the end of a URL.
    pub fn place(&self) -> String {
        let (host, port) = self.address();
        format!("{host}:{port}/{}", self.database())
    }

    /// The name by which it was selected (`--database`).
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Host and port of the server; 5432 when no port is set. The host is a path when the server listens at a socket
    /// file.
    pub fn address(&self) -> (String, u16) {
        let host = match self.config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            Some(Host::Unix(path)) => path.display().to_string(),
            None => "?".to_owned(),
        };
        (host, self.config.get_ports().first().copied().unwrap_or(5432))
    }

    /// Name of the database.
    pub fn database(&self) -> &str {
        self.config.get_dbname().unwrap_or_default()
    }
}

/// Whether every host is this machine.
pub(super) fn is_local(config: &Config) -> bool {
    let is_local_host = |host: &Host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => is_this_machine(name),
    };
    config.get_hosts().iter().all(is_local_host) && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
}

impl fmt::Display for DatabaseSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = self.address();
        write!(f, "{} at {host}:{port}", self.database())?;
        // Any of them may be the one that answers.
        for host in self.config.get_hosts().iter().skip(1) {
            match host {
                Host::Tcp(name) => write!(f, " or {name}")?,
                Host::Unix(path) => write!(f, " or {}", path.display())?,
            }
        }
        Ok(())
    }
}
