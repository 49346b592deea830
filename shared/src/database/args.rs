use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use clap::{Args, ValueEnum};
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::{
    Config,
    config::{Host, SslMode},
};

use super::{
    database_name::DatabaseName,
    database_url::{self, DatabaseUrl},
    named::{DEFAULT_DATABASE, NamedArgs},
    passwords::{Password, PasswordArgs, has_password},
    pooler::{Pooler, PoolerArgs},
    settings::{DatabaseSettings, is_local},
    short_lived::ShortLivedArgs,
    tls::{Tls, TlsArgs, TlsMode},
    types::{LocalArgs, RdsArgs, SupabaseArgs, non_empty},
};
use crate::secret::UrlParser;

/// Kind of the database. It selects the settings that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DatabaseType {
    /// `POSTGRES_*`.
    Local,
    /// `SUPABASE_*`, by TLS on any host.
    Supabase,
    /// `RDS_*`, by TLS on any host.
    Rds,
}

/// The settings of the database as flags and environment variables; [`DatabaseArgs::settings`] checks them. An empty
/// `DATABASE_URL`, and an empty one of those without a default (`SUPABASE_DIRECT_URL`, `RDS_HOST`, …), counts as not
/// set. Passwords come from the environment or from a file, never from the command line.
#[derive(Clone, Debug, Args)]
pub struct DatabaseArgs {
    // The first one: it looks for the flags of the others, which are gone once they are parsed.
    #[command(flatten)]
    named: NamedArgs,
    /// postgres://USER:PASSWORD@HOST:PORT/DB?SETTINGS; overrides USER, HOST, PORT and DB of the types below. With a
    /// password it is accepted in the environment and in .env only.
    #[arg(
        long,
        env,
        hide_env_values = true,
        value_parser = UrlParser { instead: "set DATABASE_URL in the environment or in .env", has_password },
        global = true,
        help_heading = "Database"
    )]
    database_url: Option<SecretString>,
    /// URL of the server behind a pooler, for what needs a session: migrations, seeds and locks.
    #[arg(
        long,
        env,
        hide_env_values = true,
        value_parser = UrlParser { instead: "set DATABASE_DIRECT_URL in the environment or in .env", has_password },
        global = true,
        help_heading = "Database"
    )]
    database_direct_url: Option<SecretString>,
    #[command(flatten)]
    pooler: PoolerArgs,
    /// A connection is replaced after this time, so that it follows a change of the address or of the password; 0s:
    /// never.
    #[arg(
        long,
        env,
        default_value = "30m",
        value_parser = humantime::parse_duration,
        value_name = "DURATION",
        global = true,
        help_heading = "Database"
    )]
    db_max_lifetime: Duration,
    /// Selects which of the following settings are read.
    #[arg(long, env, value_enum, default_value = "local", global = true, help_heading = "Database")]
    db_type: DatabaseType,
    #[command(flatten)]
    local: LocalArgs,
    #[command(flatten)]
    supabase: SupabaseArgs,
    #[command(flatten)]
    rds: RdsArgs,
    #[command(flatten)]
    passwords: PasswordArgs,
    #[command(flatten)]
    short_lived: ShortLivedArgs,
    #[command(flatten)]
    tls: TlsArgs,
}

impl DatabaseArgs {
    /// The settings of the selected database: that of `--database`, else that of `DATABASE_URL`, else that of `DB_TYPE`.
    ///
    /// # Errors
    /// When a setting that `DB_TYPE` requires is missing, a URL is not valid, or a certificate can't be read.
    pub fn settings(&self) -> anyhow::Result<DatabaseSettings> {
        let named = self.named.selected()?;
        let url = non_empty(&self.database_url);
        let database = match (&named, url, self.db_type) {
            (Some(named), _, _) => named.read(&self.rds.rds_ca_cert)?,
            (None, Some(url), _) => database_url::parse(url.expose_secret(), "DATABASE_URL")?,
            (None, None, DatabaseType::Local) => self.local.read(self.password(self.passwords.local())),
            (None, None, DatabaseType::Supabase) => self.supabase.read(self.password(self.passwords.supabase()))?,
            (None, None, DatabaseType::Rds) => self.rds.read(self.password(self.passwords.rds()))?,
        };
        let is_managed = match &named {
            Some(named) => named.is_managed(),
            None => url.is_none() && self.db_type != DatabaseType::Local,
        };
        let mut settings = self.connection(database, is_managed)?;
        settings.pooler = self.pooler.pooler().or(settings.pooler);
        settings.name = self.name().map(ToString::to_string);
        let direct = match &named {
            Some(named) => named.direct(&self.rds.rds_ca_cert)?,
            None => self.direct(url.is_none())?,
        };
        let direct = direct.map(|direct| self.connection(direct, is_managed)).transpose()?;
        settings.direct = direct.map(|direct| {
            // The pooler in transaction mode is the other one.
            let set = self.pooler.pooler().filter(|pooler| *pooler != Pooler::Transaction);
            Box::new(DatabaseSettings { pooler: set.or(direct.pooler), name: settings.name.clone(), ..direct })
        });
        Ok(settings)
    }

    /// Every database that is set, the default one first, with its name. The default one is left out if only others are
    /// set.
    pub fn all(&self) -> Vec<(String, Self)> {
        let selected = |name: Option<DatabaseName>| {
            let label = name.as_ref().map_or_else(|| DEFAULT_DATABASE.to_owned(), ToString::to_string);
            (label, Self { named: self.named.with_selected(name), ..self.clone() })
        };
        self.named.all().into_iter().map(selected).collect()
    }

    /// The name of the selected database; `None`: the default one.
    pub fn name(&self) -> Option<&DatabaseName> {
        self.named.name()
    }

    /// The variables of the databases with names that are set.
    pub fn variables_of_named(&self) -> impl Iterator<Item = &str> {
        self.named.variables()
    }

    fn password<'a>(&self, set: Option<&'a SecretString>) -> Password<'a> {
        match set {
            Some(password) => Password::Set(password),
            None if self.short_lived.is_set() => Password::ShortLived,
            None => Password::Missing,
        }
    }

    /// The server behind a pooler.
    fn direct(&self, by_type: bool) -> anyhow::Result<Option<DatabaseUrl>> {
        let direct = non_empty(&self.database_direct_url).filter(|direct| !self.is_of_another_url(direct));
        match direct {
            Some(url) => database_url::parse(url.expose_secret(), "DATABASE_DIRECT_URL").map(Some),
            None if by_type && self.db_type == DatabaseType::Supabase && self.supabase.has_pooler() => {
                self.supabase.direct(self.password(self.passwords.supabase()))
            }
            None => Ok(None),
        }
    }

    /// Whether the direct URL is that of the environment and the URL is another one than that beside it: a flag.
    fn is_of_another_url(&self, direct: &SecretString) -> bool {
        let is_variable =
            |name: &str, value: &SecretString| std::env::var(name).is_ok_and(|set| set == value.expose_secret());
        let url = non_empty(&self.database_url);
        url.is_some_and(|url| !is_variable("DATABASE_URL", url)) && is_variable("DATABASE_DIRECT_URL", direct)
    }

    /// How to connect to a database. One that is managed uses TLS on any host.
    fn connection(&self, database: DatabaseUrl, is_managed: bool) -> anyhow::Result<DatabaseSettings> {
        let DatabaseUrl { mut config, tls, pooler } = database;
        let mut tls = self.tls.options().or(tls);
        let is_secure = is_managed || !is_local(&config) || tls.has_certificate();
        let default = if is_secure { TlsMode::VerifyFull } else { TlsMode::Disable };
        // As in libpq, there is no TLS at a socket file.
        tls.mode = match has_sockets_only(&config) {
            true => Some(TlsMode::Disable),
            false => tls.mode.or(Some(default)),
        };
        let tls_options = tls;
        let tls = tls_options.read(default).context("TLS of the database")?;
        config.ssl_mode(match tls {
            Tls::Disabled => SslMode::Disable,
            Tls::Enabled(_) => SslMode::Require,
        });
        // The server's choice; what is shown and confirmed must be the same.
        if config.get_dbname().is_none() {
            let user = config.get_user().map(ToOwned::to_owned);
            config.dbname(user.context("the URL names no database: write postgres://USER@HOST/DATABASE")?);
        }
        set_timeouts(&mut config);
        if config.get_application_name().is_none() {
            config.application_name(application_name());
        }
        let max_lifetime = Some(self.db_max_lifetime).filter(|lifetime| !lifetime.is_zero());
        Ok(DatabaseSettings {
            short_lived: self.short_lived.passwords(&config)?,
            config,
            tls,
            tls_options,
            pooler,
            max_lifetime,
            generation: Arc::default(),
            name: None,
            direct: None,
        })
    }

    /// The same server with database `name`.
    ///
    /// # Errors
    /// When a URL is not valid.
    pub fn with_database(&self, name: &str) -> anyhow::Result<Self> {
        let rename = |url: &SecretString, setting: &str| -> anyhow::Result<SecretString> {
            Ok(database_url::with_database(url.expose_secret(), setting, name)?.into())
        };
        let renamed =
            |url: &Option<SecretString>, setting: &str| non_empty(url).map(|url| rename(url, setting)).transpose();
        let mut other = self.clone();
        other.named = self.named.changed(rename)?;
        other.database_url = renamed(&self.database_url, "DATABASE_URL")?;
        other.database_direct_url = renamed(&self.database_direct_url, "DATABASE_DIRECT_URL")?;
        other.supabase.supabase_pooler_url = renamed(&self.supabase.supabase_pooler_url, "SUPABASE_POOLER_URL")?;
        other.supabase.supabase_direct_url = renamed(&self.supabase.supabase_direct_url, "SUPABASE_DIRECT_URL")?;
        name.clone_into(&mut other.local.postgres_db);
        other.rds.rds_db = Some(name.to_owned());
        Ok(other)
    }

    /// These settings as environment variables for a child process. They include the passwords, and empty names of the
    /// files of passwords: the child must not read one that it inherits.
    pub fn environment(&self) -> Vec<(String, String)> {
        let exposed = |value: Option<&SecretString>| value.map(|value| value.expose_secret().to_owned());
        let kind = self.db_type.to_possible_value().map(|value| value.get_name().to_owned());
        let all = [
            ("DATABASE_URL", exposed(self.database_url.as_ref())),
            ("DB_MAX_LIFETIME", Some(humantime::format_duration(self.db_max_lifetime).to_string())),
            ("DATABASE_DIRECT_URL", exposed(self.database_direct_url.as_ref())),
            ("DB_TYPE", kind),
            ("POSTGRES_USER", Some(self.local.postgres_user.clone())),
            ("POSTGRES_HOST", Some(self.local.postgres_host.clone())),
            ("POSTGRES_PORT", Some(self.local.postgres_port.to_string())),
            ("POSTGRES_DB", Some(self.local.postgres_db.clone())),
            ("SUPABASE_DIRECT_URL", exposed(self.supabase.supabase_direct_url.as_ref())),
            ("SUPABASE_POOLER_URL", exposed(self.supabase.supabase_pooler_url.as_ref())),
            ("SUPABASE_CA_CERT", self.supabase.supabase_ca_cert.clone()),
            ("RDS_USER", self.rds.rds_user.clone()),
            ("RDS_HOST", self.rds.rds_host.clone()),
            ("RDS_PORT", Some(self.rds.rds_port.to_string())),
            ("RDS_DB", self.rds.rds_db.clone()),
            ("RDS_CA_CERT", self.rds.rds_ca_cert.clone()),
        ];
        let all = all.into_iter().chain(self.passwords.environment()).chain(self.short_lived.environment());
        let all = all.chain(self.tls.environment()).chain(self.pooler.environment()).chain(self.named.environment());
        all.filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

/// The name of the program in `pg_stat_activity`, such as `orderflow-consumer`.
fn application_name() -> String {
    let program = std::env::current_exe().ok();
    let name = program.as_deref().and_then(Path::file_name).unwrap_or_default();
    format!("orderflow-{}", name.to_string_lossy())
}

fn has_sockets_only(config: &Config) -> bool {
    let hosts = config.get_hosts();
    !hosts.is_empty() && hosts.iter().all(|host| matches!(host, Host::Unix(_)))
}

/// Sets the timeouts that a URL does not set.
fn set_timeouts(config: &mut Config) {
    let (connect, tcp_user) = (config.get_connect_timeout().copied(), config.get_tcp_user_timeout().copied());
    config.connect_timeout(connect.unwrap_or(Duration::from_secs(5)));
    // The kernel closes a connection to a server that does not answer (invariant 12). Each call has a shorter timeout.
    config.tcp_user_timeout(tcp_user.unwrap_or(Duration::from_secs(15)));
    if config.get_keepalives_idle() == Config::new().get_keepalives_idle() {
        config.keepalives_idle(Duration::from_secs(15));
    }
}

#[cfg(test)]
mod tests;
