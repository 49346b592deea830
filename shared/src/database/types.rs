//! The settings of each type of database, and what they say about the connection.

use anyhow::bail;
use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::Config;

use super::{
    database_url::{self, DatabaseUrl},
    passwords::{PASSWORD_PLACEHOLDER, Password, has_password},
    tls::TlsOptions,
};
use crate::secret::UrlParser;

#[derive(Clone, Debug, Args)]
pub(super) struct LocalArgs {
    /// User (local).
    #[arg(long, env, default_value = "orderflow", global = true, help_heading = "Database")]
    pub postgres_user: String,
    /// Host (local).
    #[arg(long, env, default_value = "127.0.0.1", global = true, help_heading = "Database")]
    pub postgres_host: String,
    /// Port (local).
    #[arg(long, env, default_value_t = 15432, global = true, help_heading = "Database")]
    pub postgres_port: u16,
    /// Database (local).
    #[arg(long, env, default_value = "orderflow", global = true, help_heading = "Database")]
    pub postgres_db: String,
}

const SUPABASE_PASSWORD_INSTEAD: &str =
    "write [YOUR-PASSWORD] in its place, and set SUPABASE_PASSWORD in the environment or in .env";

#[derive(Clone, Debug, Args)]
pub(super) struct SupabaseArgs {
    /// Connection URL (supabase); [YOUR-PASSWORD] in it is replaced by SUPABASE_PASSWORD.
    #[arg(
        long,
        env,
        hide_env_values = true,
        value_parser = UrlParser { instead: SUPABASE_PASSWORD_INSTEAD, has_password },
        global = true,
        help_heading = "Database"
    )]
    pub supabase_direct_url: Option<SecretString>,
    /// Connection URL of the pooler (supabase), for all but migrations and seeds.
    #[arg(
        long,
        env,
        hide_env_values = true,
        value_parser = UrlParser { instead: SUPABASE_PASSWORD_INSTEAD, has_password },
        global = true,
        help_heading = "Database"
    )]
    pub supabase_pooler_url: Option<SecretString>,
    /// File with the CA certificate, PEM, or the certificate itself (supabase).
    #[arg(long, env, hide_env_values = true, value_name = "FILE|PEM", global = true, help_heading = "Database")]
    pub supabase_ca_cert: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub(super) struct RdsArgs {
    /// User (rds).
    #[arg(long, env, global = true, help_heading = "Database")]
    pub rds_user: Option<String>,
    /// Host (rds).
    #[arg(long, env, global = true, help_heading = "Database")]
    pub rds_host: Option<String>,
    /// Port (rds).
    #[arg(long, env, default_value_t = 5432, global = true, help_heading = "Database")]
    pub rds_port: u16,
    /// Database (rds).
    #[arg(long, env, global = true, help_heading = "Database")]
    pub rds_db: Option<String>,
    /// File with the CA certificate, PEM, or the certificate itself (rds).
    #[arg(long, env, hide_env_values = true, value_name = "FILE|PEM", global = true, help_heading = "Database")]
    pub rds_ca_cert: Option<String>,
}

impl LocalArgs {
    pub(super) fn read(&self, password: Password<'_>) -> DatabaseUrl {
        let mut config = Config::new();
        if let Password::Set(password) = password {
            config.password(password.expose_secret());
        }
        config.user(&self.postgres_user);
        config.host(&self.postgres_host).port(self.postgres_port).dbname(&self.postgres_db);
        DatabaseUrl { config, tls: TlsOptions::default(), pooler: None }
    }
}

impl SupabaseArgs {
    /// What the programs connect to: the pooler if it is set, else the server.
    pub(super) fn read(&self, password: Password<'_>) -> anyhow::Result<DatabaseUrl> {
        match (non_empty(&self.supabase_pooler_url), self.direct(password)?) {
            (Some(pooler), _) => self.parse(pooler, "SUPABASE_POOLER_URL", password),
            (None, Some(direct)) => Ok(direct),
            (None, None) => bail!("DB_TYPE is supabase, but SUPABASE_DIRECT_URL is not set"),
        }
    }

    pub(super) fn has_pooler(&self) -> bool {
        non_empty(&self.supabase_pooler_url).is_some()
    }

    /// The server itself.
    pub(super) fn direct(&self, password: Password<'_>) -> anyhow::Result<Option<DatabaseUrl>> {
        let url = non_empty(&self.supabase_direct_url);
        url.map(|url| self.parse(url, "SUPABASE_DIRECT_URL", password)).transpose()
    }

    fn parse(&self, url: &SecretString, name: &str, password: Password<'_>) -> anyhow::Result<DatabaseUrl> {
        let mut url = database_url::parse(&url.expose_secret().replace(PASSWORD_PLACEHOLDER, "@"), name)?;
        match password {
            Password::Set(password) => drop(url.config.password(password.expose_secret())),
            Password::Missing if url.config.get_password().is_none() => {
                bail!("{name} has no password and SUPABASE_PASSWORD is not set")
            }
            Password::Missing | Password::ShortLived => {}
        }
        url.tls = url.tls.or(TlsOptions::with_authorities(&self.supabase_ca_cert));
        Ok(url)
    }
}

impl RdsArgs {
    pub(super) fn read(&self, password: Password<'_>) -> anyhow::Result<DatabaseUrl> {
        let text = |value: &Option<String>| value.clone().filter(|text| !text.is_empty());
        let has_password = !matches!(password, Password::Missing);
        let settings = (text(&self.rds_user), text(&self.rds_host), text(&self.rds_db));
        let ((Some(user), Some(host), Some(database)), true) = (&settings, has_password) else {
            let is_set = [
                ("RDS_USER", settings.0.is_some()),
                ("RDS_PASSWORD", has_password),
                ("RDS_HOST", settings.1.is_some()),
                ("RDS_DB", settings.2.is_some()),
            ];
            let missing: Vec<_> = is_set.into_iter().filter(|(_, is_set)| !is_set).map(|(name, _)| name).collect();
            bail!("DB_TYPE is rds, but not set: {}", missing.join(", "))
        };
        let mut config = Config::new();
        config.user(user).host(host).port(self.rds_port).dbname(database);
        if let Password::Set(password) = password {
            config.password(password.expose_secret());
        }
        Ok(DatabaseUrl { config, tls: TlsOptions::with_authorities(&self.rds_ca_cert), pooler: None })
    }
}

/// An empty variable counts as not set: `deploy/stack env` sets `DATABASE_URL` to an empty value, to override one in
/// `.env`.
pub(super) fn non_empty(secret: &Option<SecretString>) -> Option<&SecretString> {
    secret.as_ref().filter(|secret| !secret.expose_secret().is_empty())
}
