use std::{path::PathBuf, str::FromStr, time::Duration};

use anyhow::{Context, anyhow, bail};
use clap::{Args, ValueEnum};
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::{Config, config::SslMode};
use url::Url;

use super::{
    passwords::{PASSWORD_PLACEHOLDER, PasswordArgs, has_password},
    settings::DatabaseSettings,
};
use crate::secret::UrlParser;

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
/// set. Passwords come from the environment or from a file, never from the command line.
#[derive(Clone, Debug, Args)]
pub struct DatabaseArgs {
    /// postgres://USER:PASSWORD@HOST:PORT/DB; overrides all the other database settings. With a password it is accepted
    /// in the environment and in .env only.
    #[arg(
        long,
        env,
        hide_env_values = true,
        value_parser = UrlParser { instead: "set DATABASE_URL in the environment or in .env", has_password },
        global = true,
        help_heading = "Database"
    )]
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
    #[command(flatten)]
    passwords: PasswordArgs,
}

#[derive(Clone, Debug, Args)]
struct LocalArgs {
    /// User (local).
    #[arg(long, env, default_value = "orderflow", global = true, help_heading = "Database")]
    postgres_user: String,
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
    #[arg(
        long,
        env,
        hide_env_values = true,
        value_parser = UrlParser {
            instead: "write [YOUR-PASSWORD] in its place, and set SUPABASE_PASSWORD in the environment or in .env",
            has_password,
        },
        global = true,
        help_heading = "Database"
    )]
    supabase_direct_url: Option<SecretString>,
    /// File with the CA certificate, PEM (supabase).
    #[arg(long, env, global = true, help_heading = "Database")]
    supabase_ca_cert: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
struct RdsArgs {
    /// User (rds).
    #[arg(long, env, global = true, help_heading = "Database")]
    rds_user: Option<String>,
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
            (None, DatabaseType::Local) => (self.local.config(self.passwords.local()), None),
            (None, DatabaseType::Supabase) => {
                (self.supabase.config(self.passwords.supabase())?, self.supabase.supabase_ca_cert.clone())
            }
            (None, DatabaseType::Rds) => (self.rds.config(self.passwords.rds())?, None),
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

    /// These settings as environment variables for a child process. They include the passwords, and empty names of the
    /// files of passwords: the child must not read one that it inherits.
    pub fn environment(&self) -> Vec<(String, String)> {
        let exposed = |value: Option<&SecretString>| value.map(|value| value.expose_secret().to_owned());
        let path = |value: &Option<PathBuf>| value.as_ref().map(|value| value.display().to_string());
        let kind = self.db_type.to_possible_value().map(|value| value.get_name().to_owned());
        let all = [
            ("DATABASE_URL", exposed(self.database_url.as_ref())),
            ("DB_TYPE", kind),
            ("POSTGRES_USER", Some(self.local.postgres_user.clone())),
            ("POSTGRES_HOST", Some(self.local.postgres_host.clone())),
            ("POSTGRES_PORT", Some(self.local.postgres_port.to_string())),
            ("POSTGRES_DB", Some(self.local.postgres_db.clone())),
            ("SUPABASE_DIRECT_URL", exposed(self.supabase.supabase_direct_url.as_ref())),
            ("SUPABASE_CA_CERT", path(&self.supabase.supabase_ca_cert)),
            ("RDS_USER", self.rds.rds_user.clone()),
            ("RDS_HOST", self.rds.rds_host.clone()),
            ("RDS_PORT", Some(self.rds.rds_port.to_string())),
            ("RDS_DB", self.rds.rds_db.clone()),
        ];
        let all = all.into_iter().chain(self.passwords.environment());
        all.filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

impl LocalArgs {
    fn config(&self, password: Option<&SecretString>) -> Config {
        let mut config = Config::new();
        if let Some(password) = password {
            config.password(password.expose_secret());
        }
        config.user(&self.postgres_user);
        config.host(&self.postgres_host).port(self.postgres_port).dbname(&self.postgres_db).ssl_mode(SslMode::Disable);
        config
    }
}

impl SupabaseArgs {
    fn config(&self, password: Option<&SecretString>) -> anyhow::Result<Config> {
        let Some(url) = non_empty(&self.supabase_direct_url) else {
            bail!("DB_TYPE is supabase, but SUPABASE_DIRECT_URL is not set")
        };
        let mut config = parse_url(&url.expose_secret().replace(PASSWORD_PLACEHOLDER, "@"), "SUPABASE_DIRECT_URL")?;
        match password {
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
    fn config(&self, password: Option<&SecretString>) -> anyhow::Result<Config> {
        let text = |value: &Option<String>| value.clone().filter(|text| !text.is_empty());
        let (Some(user), Some(password), Some(host), Some(database)) =
            (text(&self.rds_user), password, text(&self.rds_host), text(&self.rds_db))
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
    // The error of tokio-postgres may print a part of the URL, and so its password.
    let mut config = Config::from_str(url).map_err(|_| {
        anyhow!(
            "{name} is not a PostgreSQL URL: write postgres://USER:PASSWORD@HOST:PORT/DB, with %2F for a / in a \
             password; after it at most ?sslmode=require and other options of libpq"
        )
    })?;
    // The default of tokio-postgres, `prefer`, fails at a server with a self-signed certificate. So TLS must be
    // requested in the URL.
    if config.get_ssl_mode() == SslMode::Prefer {
        config.ssl_mode(SslMode::Disable);
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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

    /// A file with a password, and its path.
    fn password_file(password: &str) -> (tempfile::NamedTempFile, String) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), password).unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        (file, path)
    }

    #[test]
    fn supabase_has_a_setting_for_its_password_which_may_have_any_characters() {
        let url = "postgresql://postgres:[YOUR-PASSWORD]@db.example.com:5432/postgres";
        let (_file, path) = password_file("p@s/s:word\n");
        let arguments = ["--db-type", "supabase", "--supabase-direct-url", url, "--supabase-password-file", &path];
        let found = settings(&arguments).unwrap();
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
        let arguments: Vec<_> = command
            .get_arguments()
            .filter(|argument| argument.get_id() != "help" && !argument.is_hide_set())
            .cloned()
            .collect();
        assert!(arguments.iter().all(|argument| argument.get_env().is_some() && argument.is_global_set()));
        let (_file, path) = password_file("hunter2");
        let value = |argument: &clap::Arg| match argument.get_id().as_str() {
            "db_type" => "local".to_owned(),
            "postgres_port" | "rds_port" => "1".to_owned(),
            id if id.ends_with("_password_file") => path.clone(),
            _ => "value".to_owned(),
        };
        let filled =
            arguments.iter().flat_map(|argument| [format!("--{}", argument.get_long().unwrap()), value(argument)]);
        let program = TestCommand::parse_from(["program".to_owned()].into_iter().chain(filled));
        assert!(!format!("{:?}", program.database).contains("hunter2"));
        // The password of a file is passed on as a variable, which the file has priority over.
        let environment = program.database.environment();
        let names = environment.iter().map(|(name, _)| name.as_str());
        let passed_on: BTreeSet<&str> = names.filter(|name| !name.ends_with("_PASSWORD")).collect();
        let variables: BTreeSet<_> = arguments.iter().filter_map(|argument| argument.get_env()?.to_str()).collect();
        assert_eq!(passed_on, variables);
        for kind in ["POSTGRES", "SUPABASE", "RDS"] {
            for (name, value) in [("PASSWORD", "hunter2"), ("PASSWORD_FILE", "")] {
                assert!(environment.contains(&(format!("{kind}_{name}"), value.to_owned())), "{environment:?}");
            }
        }
    }

    #[test]
    fn a_password_on_the_command_line_is_refused_without_being_printed() {
        let url = "postgres://me:hunter2@host/db";
        for (arguments, expected) in [
            (&["--postgres-password", "hunter2"][..], "POSTGRES_PASSWORD"),
            (&["--postgres-password=hunter2"], "--postgres-password-file"),
            (&["--supabase-password", "-hunter2"], "SUPABASE_PASSWORD"),
            (&["--rds-password", "hunter2"], "RDS_PASSWORD"),
            (&["--database-url", url], "DATABASE_URL"),
            (&["--database-url", "host=host password=hunter2"], "DATABASE_URL"),
            (&["--supabase-direct-url", url], "SUPABASE_PASSWORD"),
        ] {
            let error = settings(arguments).err().unwrap();
            let message = format!("{error:#}");
            assert_eq!(error.downcast_ref::<clap::Error>().unwrap().exit_code(), 2);
            assert!(message.contains(expected), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
        assert!(settings(&["--database-url", "postgres://me@host/db"]).is_ok());
    }

    #[test]
    fn a_url_that_is_none_is_not_printed() {
        // tokio-postgres reads it as `key=value` and would print the key.
        let error = settings(&["--database-url", "mysql://me:hunter2@host/db?a=b"]).err().unwrap();
        let message = format!("{error:#}");
        assert!(message.contains("DATABASE_URL is not a PostgreSQL URL") && !message.contains("hunter2"), "{message}");
    }
}
