use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::{
    Config,
    config::{Host, SslMode},
};
use url::Url;

/// Where the database is hosted, which decides the settings that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DatabaseType {
    /// `POSTGRES_*`, without TLS.
    Local,
    /// `SUPABASE_*`, with TLS.
    Supabase,
    /// `RDS_*`, with TLS.
    Rds,
}

/// How to reach the database, as given; [`DatabaseArgs::settings`] makes sense of it.
#[derive(Clone, Debug, Args)]
pub struct DatabaseArgs {
    /// postgres://USER:PASSWORD@HOST:PORT/DB; wins over all that follows.
    #[arg(long, env, hide_env_values = true, global = true, help_heading = "Database")]
    database_url: Option<SecretString>,
    /// Which of the settings that follow are read.
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
    /// Password (local); give it in the environment or in .env.
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
    /// Connection string (supabase); its [YOUR-PASSWORD] is replaced by SUPABASE_PASSWORD.
    #[arg(long, env, hide_env_values = true, global = true, help_heading = "Database")]
    supabase_direct_url: Option<SecretString>,
    /// Password (supabase); give it in the environment or in .env.
    #[arg(long, env, hide_env_values = true, global = true, help_heading = "Database")]
    supabase_password: Option<SecretString>,
    /// File with the certificate authority's certificate, PEM (supabase).
    #[arg(long, env, global = true, help_heading = "Database")]
    supabase_ca_cert: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
struct RdsArgs {
    /// User (rds).
    #[arg(long, env, global = true, help_heading = "Database")]
    rds_user: Option<String>,
    /// Password (rds); give it in the environment or in .env.
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

/// Where the database is and how to get in. Its `Display` never shows the password.
#[derive(Clone)]
pub struct DatabaseSettings {
    pub(super) config: Config,
    pub(super) authority: Option<PathBuf>,
}

impl DatabaseArgs {
    /// The settings of the database that is meant.
    ///
    /// # Errors
    /// When a setting that `DB_TYPE` needs is missing, or a URL isn't one.
    pub fn settings(&self) -> anyhow::Result<DatabaseSettings> {
        let (mut config, authority) = match (&self.database_url, self.db_type) {
            (Some(url), _) => (parse_url(url.expose_secret(), "DATABASE_URL")?, None),
            (None, DatabaseType::Local) => (self.local.config(), None),
            (None, DatabaseType::Supabase) => (self.supabase.config()?, self.supabase.supabase_ca_cert.clone()),
            (None, DatabaseType::Rds) => (self.rds.config()?, None),
        };
        config.connect_timeout(Duration::from_secs(5)).keepalives_idle(Duration::from_secs(15));
        // A peer that went silent is noticed by the kernel too (invariant 12); deadlines of our own stand above this.
        config.tcp_user_timeout(Duration::from_secs(15));
        Ok(DatabaseSettings { config, authority })
    }
}

impl DatabaseArgs {
    /// The same server, another database.
    ///
    /// # Errors
    /// When a URL isn't one.
    pub fn with_database(&self, name: &str) -> anyhow::Result<Self> {
        let renamed = |url: &SecretString| -> anyhow::Result<SecretString> {
            let mut url = Url::parse(url.expose_secret()).context("the database's URL is none")?;
            url.set_path(name);
            Ok(SecretString::from(url.to_string()))
        };
        let mut other = self.clone();
        other.database_url = self.database_url.as_ref().map(renamed).transpose()?;
        other.supabase.supabase_direct_url = self.supabase.supabase_direct_url.as_ref().map(renamed).transpose()?;
        name.clone_into(&mut other.local.postgres_db);
        other.rds.rds_db = Some(name.to_owned());
        Ok(other)
    }

    /// The same settings as environment variables, for a program that is started with them; with the secrets.
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
        let Some(url) = &self.supabase_direct_url else {
            bail!("DB_TYPE is supabase, but SUPABASE_DIRECT_URL is not set")
        };
        let mut config = parse_url(&url.expose_secret().replace(":[YOUR-PASSWORD]@", "@"), "SUPABASE_DIRECT_URL")?;
        match &self.supabase_password {
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
        let (Some(user), Some(password), Some(host), Some(database)) =
            (&self.rds_user, &self.rds_password, &self.rds_host, &self.rds_db)
        else {
            bail!("DB_TYPE is rds, which needs RDS_USER, RDS_PASSWORD, RDS_HOST and RDS_DB")
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

fn parse_url(url: &str, name: &str) -> anyhow::Result<Config> {
    let mut config = Config::from_str(url).with_context(|| format!("{name} is not a PostgreSQL URL"))?;
    // `prefer`, the library's default, would fail at a server with a certificate of its own making: ask for TLS by name.
    if config.get_ssl_mode() == SslMode::Prefer {
        config.ssl_mode(SslMode::Disable);
    }
    Ok(config)
}

impl DatabaseSettings {
    /// The same server, another database.
    pub fn with_database(&self, name: &str) -> Self {
        let mut other = self.clone();
        other.config.dbname(name);
        other
    }

    /// User and password, empty where there are none; for a program that is not ours.
    pub fn credentials(&self) -> (String, SecretString) {
        let password = self.config.get_password().map(String::from_utf8_lossy).unwrap_or_default();
        (self.config.get_user().unwrap_or_default().to_owned(), SecretString::from(password.into_owned()))
    }

    /// `HOST:PORT/DATABASE`.
    pub fn place(&self) -> String {
        let (host, port) = self.address();
        format!("{host}:{port}/{}", self.database())
    }

    /// Host and port.
    pub fn address(&self) -> (String, u16) {
        let host = match self.config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            Some(Host::Unix(path)) => path.display().to_string(),
            None => "?".to_owned(),
        };
        (host, self.config.get_ports().first().copied().unwrap_or(5432))
    }

    /// The database's name.
    pub fn database(&self) -> &str {
        self.config.get_dbname().unwrap_or("postgres")
    }
}

impl fmt::Display for DatabaseSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = self.address();
        write!(f, "{} at {host}:{port}", self.database())
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, FromArgMatches, Parser};

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        database: DatabaseArgs,
    }

    fn settings(arguments: &[&str]) -> anyhow::Result<DatabaseSettings> {
        // Whatever the environment of the tests says, these read arguments alone.
        let command = Program::command().mut_args(|argument| argument.env("NEVER_SET"));
        let matches = command.try_get_matches_from(["program"].iter().chain(arguments))?;
        Program::from_arg_matches(&matches)?.database.settings()
    }

    #[test]
    fn unset_it_is_the_local_stack() {
        assert_eq!(settings(&[]).unwrap().to_string(), "orderflow at 127.0.0.1:15432");
    }

    #[test]
    fn supabase_takes_its_password_from_its_own_setting_whatever_characters_it_has() {
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
    fn what_is_missing_is_named() {
        let error = settings(&["--db-type", "rds", "--rds-user", "me"]).err().unwrap();
        assert!(error.to_string().contains("RDS_HOST"), "{error}");
    }

    #[test]
    fn every_setting_can_be_given_in_the_environment_and_is_passed_on_to_programs() {
        let mut command = Program::command();
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
        let program = Program::parse_from(["program".to_owned()].into_iter().chain(filled));
        let passed_on: Vec<String> = program.database.environment().into_iter().map(|(name, _)| name).collect();
        let environment: Vec<_> = arguments.iter().filter_map(|argument| argument.get_env()?.to_str()).collect();
        assert_eq!(passed_on, environment);
    }

    #[test]
    fn no_secret_is_printed() {
        let program = Program::parse_from(["program", "--postgres-password", "hunter2"]);
        assert!(!format!("{:?}", program.database).contains("hunter2"));
    }
}
