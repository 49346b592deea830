use std::{path::PathBuf, str::FromStr, time::Duration};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::{Config, config::SslMode};
use url::Url;

use super::settings::DatabaseSettings;

/// Kind of the database. It selects the settings that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DatabaseType {
    /// `POSTGRES_*`, without TLS.
    Local,
    /// `SUPABASE_*`, with TLS.
    Supabase,
    /// `RDS_*`, with TLS.
    Rds,
}

/// The settings of the database as flags and environment variables; [`DatabaseArgs::settings`] checks them. An empty
/// `DATABASE_URL`, and an empty one of those without a default (`SUPABASE_DIRECT_URL`, `RDS_HOST`, …), counts as not
/// set.
#[derive(Clone, Debug, Args)]
pub struct DatabaseArgs {
    /// postgres://USER:PASSWORD@HOST:PORT/DB; overrides all the other database settings.
    #[arg(long, env, hide_env_values = true, global = true, help_heading = "Database")]
    database_url: Option<SecretString>,
    /// Selects which of the following settings are read.
    #[arg(long, env, value_enum, default_value = "local", global = true, help_heading = "Database")]
    db_type: DatabaseType,
    #[command(flatten)]
    local: LocalArgs,
    #[command(flatten)]
    supabase: SupabaseArgs,
    #[command(flatten)]
    rds: RdsArgs,
}

#[derive(Clone, Debug, Args)]
struct LocalArgs {
    /// User (local).
    #[arg(long, env, default_value = "orderflow", global = true, help_heading = "Database")]
    postgres_user: String,
    /// Password (local); set it in the environment or in .env.
    #[arg(
        long,
        env,
        default_value = "orderflow",
        hide_env_values = true,
        hide_default_value = true,
        global = true,
        help_heading = "Database"
    )]
    postgres_password: SecretString,
    /// Host (local).
    #[arg(long, env, default_value = "127.0.0.1", global = true, help_heading = "Database")]
    postgres_host: String,
    /// Port (local).
    #[arg(long, env, default_value_t = 15432, global = true, help_heading = "Database")]
    postgres_port: u16,
    /// Database (local).
    #[arg(long, env, default_value = "orderflow", global = true, help_heading = "Database")]
    postgres_db: String,
}

#[derive(Clone, Debug, Args)]
struct SupabaseArgs {
    /// Connection URL (supabase); [YOUR-PASSWORD] in it is replaced by SUPABASE_PASSWORD.
    #[arg(long, env, hide_env_values = true, global = true, help_heading = "Database")]
    supabase_direct_url: Option<SecretString>,
    /// Password (supabase); set it in the environment or in .env.
    #[arg(long, env, hide_env_values = true, global = true, help_heading = "Database")]
    supabase_password: Option<SecretString>,
    /// File with the CA certificate, PEM (supabase).
    #[arg(long, env, global = true, help_heading = "Database")]
    supabase_ca_cert: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
struct RdsArgs {
    /// User (rds).
    #[arg(long, env, global = true, help_heading = "Database")]
    rds_user: Option<String>,
    /// Password (rds); set it in the environment or in .env.
    #[arg(long, env, hide_env_values = true, global = true, help_heading = "Database")]
    rds_password: Option<SecretString>,
    /// Host (rds).
    #[arg(long, env, global = true, help_heading = "Database")]
    rds_host: Option<String>,
    /// Port (rds).
    #[arg(long, env, default_value_t = 5432, global = true, help_heading = "Database")]
    rds_port: u16,
    /// Database (rds).
    #[arg(long, env, global = true, help_heading = "Database")]
    rds_db: Option<String>,
}

impl DatabaseArgs {
    /// The settings of the selected database: that of `DATABASE_URL`, else that of `DB_TYPE`.
    ///
    /// # Errors
    /// When a setting that `DB_TYPE` requires is missing, or a URL is not valid.
    pub fn settings(&self) -> anyhow::Result<DatabaseSettings> {
        let (mut config, authority) = match (non_empty(&self.database_url), self.db_type) {
            (Some(url), _) => (parse_url(url.expose_secret(), "DATABASE_URL")?, None),
            (None, DatabaseType::Local) => (self.local.config(), None),
            (None, DatabaseType::Supabase) => (self.supabase.config()?, self.supabase.supabase_ca_cert.clone()),
            (None, DatabaseType::Rds) => (self.rds.config()?, None),
        };
        config.connect_timeout(Duration::from_secs(5)).keepalives_idle(Duration::from_secs(15));
        // The kernel closes a connection to a server that does not answer (invariant 12). Each call has a shorter
        // timeout.
        config.tcp_user_timeout(Duration::from_secs(15));
        Ok(DatabaseSettings { config, authority })
    }

    /// The same server with database `name`.
    ///
    /// # Errors
    /// When a URL is not valid.
    pub fn with_database(&self, name: &str) -> anyhow::Result<Self> {
        let renamed = |url: &SecretString| -> anyhow::Result<SecretString> {
            let mut url = Url::parse(url.expose_secret()).context("the URL of the database is not valid")?;
            url.set_path(name);
            Ok(SecretString::from(url.to_string()))
        };
        let mut other = self.clone();
        other.database_url = non_empty(&self.database_url).map(renamed).transpose()?;
        other.supabase.supabase_direct_url = non_empty(&self.supabase.supabase_direct_url).map(renamed).transpose()?;
        name.clone_into(&mut other.local.postgres_db);
        other.rds.rds_db = Some(name.to_owned());
        Ok(other)
    }

    /// These settings as environment variables for a child process. They include the passwords.
    pub fn environment(&self) -> Vec<(String, String)> {
        let secret = |value: &Option<SecretString>| value.as_ref().map(|value| value.expose_secret().to_owned());
        let path = |value: &Option<PathBuf>| value.as_ref().map(|value| value.display().to_string());
        let kind = self.db_type.to_possible_value().map(|value| value.get_name().to_owned());
        let all = [
            ("DATABASE_URL", secret(&self.database_url)),
            ("DB_TYPE", kind),
            ("POSTGRES_USER", Some(self.local.postgres_user.clone())),
            ("POSTGRES_PASSWORD", Some(self.local.postgres_password.expose_secret().to_owned())),
            ("POSTGRES_HOST", Some(self.local.postgres_host.clone())),
            ("POSTGRES_PORT", Some(self.local.postgres_port.to_string())),
            ("POSTGRES_DB", Some(self.local.postgres_db.clone())),
            ("SUPABASE_DIRECT_URL", secret(&self.supabase.supabase_direct_url)),
            ("SUPABASE_PASSWORD", secret(&self.supabase.supabase_password)),
            ("SUPABASE_CA_CERT", path(&self.supabase.supabase_ca_cert)),
            ("RDS_USER", self.rds.rds_user.clone()),
            ("RDS_PASSWORD", secret(&self.rds.rds_password)),
            ("RDS_HOST", self.rds.rds_host.clone()),
            ("RDS_PORT", Some(self.rds.rds_port.to_string())),
            ("RDS_DB", self.rds.rds_db.clone()),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

impl LocalArgs {
    fn config(&self) -> Config {
        let mut config = Config::new();
        config.user(&self.postgres_user).password(self.postgres_password.expose_secret());
        config.host(&self.postgres_host).port(self.postgres_port).dbname(&self.postgres_db).ssl_mode(SslMode::Disable);
        config
    }
}

impl SupabaseArgs {
    fn config(&self) -> anyhow::Result<Config> {
        let Some(url) = non_empty(&self.supabase_direct_url) else {
            bail!("DB_TYPE is supabase, but SUPABASE_DIRECT_URL is not set")
        };
        let mut config = parse_url(&url.expose_secret().replace(":[YOUR-PASSWORD]@", "@"), "SUPABASE_DIRECT_URL")?;
        match non_empty(&self.supabase_password) {
            Some(password) => drop(config.password(password.expose_secret())),
            None if config.get_password().is_none() => {
                bail!("SUPABASE_DIRECT_URL has no password and SUPABASE_PASSWORD is not set")
            }
            None => {}
        }
        config.ssl_mode(SslMode::Require);
        Ok(config)
    }
}

impl RdsArgs {
    fn config(&self) -> anyhow::Result<Config> {
        let text = |value: &Option<String>| value.clone().filter(|text| !text.is_empty());
        let (Some(user), Some(password), Some(host), Some(database)) =
            (text(&self.rds_user), non_empty(&self.rds_password), text(&self.rds_host), text(&self.rds_db))
        else {
            bail!("DB_TYPE is rds, which requires RDS_USER, RDS_PASSWORD, RDS_HOST and RDS_DB")
        };
        let mut config = Config::new();
        config
            .user(user)
            .password(password.expose_secret())
            .host(host)
            .port(self.rds_port)
            .dbname(database)
            .ssl_mode(SslMode::Require);
        Ok(config)
    }
}

/// An empty variable counts as not set: `deploy/stack env` sets `DATABASE_URL` to an empty value, to override one in
/// `.env`.
fn non_empty(secret: &Option<SecretString>) -> Option<&SecretString> {
    secret.as_ref().filter(|secret| !secret.expose_secret().is_empty())
}

fn parse_url(url: &str, name: &str) -> anyhow::Result<Config> {
    let mut config = Config::from_str(url).with_context(|| format!("{name} is not a PostgreSQL URL"))?;
    // The default of tokio-postgres, `prefer`, fails at a server with a self-signed certificate. So TLS must be
    // requested in the URL.
    if config.get_ssl_mode() == SslMode::Prefer {
        config.ssl_mode(SslMode::Disable);
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, FromArgMatches, Parser};

    use super::*;

    #[derive(Parser)]
    struct TestCommand {
        #[command(flatten)]
        database: DatabaseArgs,
    }

    fn settings(arguments: &[&str]) -> anyhow::Result<DatabaseSettings> {
        // The environment of the tests must not matter.
        let command = TestCommand::command().mut_args(|argument| argument.env("NEVER_SET"));
        let matches = command.try_get_matches_from(["program"].iter().chain(arguments))?;
        TestCommand::from_arg_matches(&matches)?.database.settings()
    }

    #[test]
    fn without_settings_or_with_an_empty_url_the_database_is_that_of_the_local_stack() {
        assert_eq!(settings(&[]).unwrap().to_string(), "orderflow at 127.0.0.1:15432");
        assert_eq!(settings(&["--database-url", ""]).unwrap().to_string(), "orderflow at 127.0.0.1:15432");
    }

    #[test]
    fn supabase_has_a_setting_for_its_password_which_may_have_any_characters() {
        let url = "postgresql://postgres:[YOUR-PASSWORD]@db.example.com:5432/postgres";
        let found =
            settings(&["--db-type", "supabase", "--supabase-direct-url", url, "--supabase-password", "p@s/s:word"])
                .unwrap();
        assert_eq!(found.config.get_password(), Some("p@s/s:word".as_bytes()));
        assert_eq!(found.config.get_ssl_mode(), SslMode::Require);
        assert_eq!(found.to_string(), "postgres at db.example.com:5432");
        assert!(settings(&["--db-type", "supabase", "--supabase-direct-url", url]).is_err());
    }

    #[test]
    fn a_missing_setting_is_named() {
        let error = settings(&["--db-type", "rds", "--rds-user", "me"]).err().unwrap();
        assert!(error.to_string().contains("RDS_HOST"), "{error}");
    }

    #[test]
    fn every_setting_can_be_given_in_the_environment_and_is_passed_on_to_programs() {
        let mut command = TestCommand::command();
        command.build();
        let arguments: Vec<_> =
            command.get_arguments().filter(|argument| argument.get_id() != "help").cloned().collect();
        assert!(arguments.iter().all(|argument| argument.get_env().is_some() && argument.is_global_set()));
        let value = |argument: &clap::Arg| match argument.get_id().as_str() {
            "db_type" => "local",
            "postgres_port" | "rds_port" => "1",
            _ => "value",
        };
        let filled = arguments
            .iter()
            .flat_map(|argument| [format!("--{}", argument.get_long().unwrap()), value(argument).to_owned()]);
        let program = TestCommand::parse_from(["program".to_owned()].into_iter().chain(filled));
        let passed_on: Vec<String> = program.database.environment().into_iter().map(|(name, _)| name).collect();
        let environment: Vec<_> = arguments.iter().filter_map(|argument| argument.get_env()?.to_str()).collect();
        assert_eq!(passed_on, environment);
    }

    #[test]
    fn no_secret_is_printed() {
        let program = TestCommand::parse_from(["program", "--postgres-password", "hunter2"]);
        assert!(!format!("{:?}", program.database).contains("hunter2"));
    }
}
