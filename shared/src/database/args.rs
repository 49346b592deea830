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
        let direct = match &named {
            Some(named) => named.direct(&self.rds.rds_ca_cert)?,
            None => self.direct(url.is_none())?,
        };
        let direct = direct.map(|direct| self.connection(direct, is_managed)).transpose()?;
        settings.direct = direct.map(|direct| {
            // The pooler in transaction mode is the other one.
            let set = self.pooler.pooler().filter(|pooler| *pooler != Pooler::Transaction);
            Box::new(DatabaseSettings { pooler: set.or(direct.pooler), ..direct })
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
        match non_empty(&self.database_direct_url) {
            Some(url) => database_url::parse(url.expose_secret(), "DATABASE_DIRECT_URL").map(Some),
            None if by_type && self.db_type == DatabaseType::Supabase && self.supabase.has_pooler() => {
                self.supabase.direct(self.password(self.passwords.supabase()))
            }
            None => Ok(None),
        }
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
    fn supabase_has_a_pooler_with_a_server_behind_it_or_the_server_alone() {
        let url = |port: u16| format!("postgresql://me:[YOUR-PASSWORD]@localhost:{port}/postgres");
        let (_file, path) = password_file("hunter2");
        let base = ["--db-type", "supabase", "--supabase-password-file", &path];
        let (direct, pooler) = (url(5432), url(6543));
        let (direct, pooler) = (["--supabase-direct-url", &direct], ["--supabase-pooler-url", &pooler]);
        let ports = |more: &[&str]| {
            let found = settings(&[&base, more].concat()).unwrap();
            (found.address().1, found.direct().address().1, found.has_pooler())
        };
        assert_eq!(ports(&direct), (5432, 5432, false));
        assert_eq!(ports(&[direct, pooler].concat()), (6543, 5432, true));
        assert_eq!(ports(&pooler), (6543, 6543, false), "it is detected");
        let other = "postgres://me@localhost:7/postgres";
        assert_eq!(ports(&[&direct[..], &pooler, &["--database-direct-url", other]].concat()), (6543, 7, true));
    }

    #[test]
    fn a_missing_setting_is_named() {
        let error = settings(&["--db-type", "rds", "--rds-user", "me"]).err().unwrap();
        assert_eq!(error.to_string(), "DB_TYPE is rds, but not set: RDS_PASSWORD, RDS_HOST, RDS_DB");
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
            "db_tls" => "disable".to_owned(),
            "db_pooler" => "transaction".to_owned(),
            "db_max_lifetime" | "postgres_password_ttl" => "1m".to_owned(),
            "postgres_port" | "rds_port" => "1".to_owned(),
            id if id.ends_with("_password_file") => path.clone(),
            _ => "value".to_owned(),
        };
        // It conflicts with --database-url.
        let given = arguments.iter().filter(|argument| argument.get_id() != "database");
        let has_value = |argument: &clap::Arg| argument.get_action().takes_values();
        let filled = given.flat_map(|argument| {
            let flag = format!("--{}", argument.get_long().unwrap());
            [Some(flag), has_value(argument).then(|| value(argument))].into_iter().flatten()
        });
        let program = TestCommand::parse_from(["program".to_owned()].into_iter().chain(filled));
        assert!(!format!("{:?}", program.database).contains("hunter2"));
        // The password of a file is passed on as a variable, which the file has priority over.
        let environment = program.database.environment();
        let names = environment.iter().map(|(name, _)| name.as_str());
        let passed_on: BTreeSet<&str> =
            names.filter(|name| !name.ends_with("_PASSWORD") && !name.starts_with("OAUTH_")).collect();
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
    fn another_host_and_a_managed_database_get_tls_unless_told_otherwise() {
        let mode = |arguments: &[&str]| settings(arguments).unwrap().config.get_ssl_mode();
        for url in [
            "postgres://me@localhost/db",
            "postgres://me@127.0.0.2:5432/db",
            "postgres://me@[::1]/db",
            "postgres:///db?host=/run/postgresql",
            "postgres://me@db.example.com/db?sslmode=disable",
        ] {
            assert_eq!(mode(&["--database-url", url]), SslMode::Disable, "{url}");
        }
        for url in [
            "postgres://me@db.example.com/db",
            "postgres://me@localhost,db.example.com/db",
            "postgres://me@localhost/db?hostaddr=10.0.0.1",
            "postgres://me@localhost/db?sslmode=verify-full",
            "postgres://me@db.localhost/db",
            "postgres:///db?hostaddr=10.0.0.1",
        ] {
            assert_eq!(mode(&["--database-url", url]), SslMode::Require, "{url}");
        }
        let socket = "postgres:///db?host=/run/postgresql";
        assert_eq!(mode(&["--database-url", socket, "--db-tls", "verify-full"]), SslMode::Disable);
        assert_eq!(mode(&["--postgres-host", "10.0.0.1"]), SslMode::Require);
        assert_eq!(mode(&["--postgres-host", "10.0.0.1", "--db-tls", "disable"]), SslMode::Disable);
        let url = "postgres://me:[YOUR-PASSWORD]@127.0.0.1/db";
        let (_file, path) = password_file("hunter2");
        let supabase = ["--db-type", "supabase", "--supabase-direct-url", url, "--supabase-password-file", &path];
        assert_eq!(mode(&supabase), SslMode::Require);
    }

    #[test]
    fn a_url_has_its_own_timeouts() {
        let timeout = |url: &str| *settings(&["--database-url", url]).unwrap().config.get_connect_timeout().unwrap();
        assert_eq!(timeout("postgres://me@localhost/db"), Duration::from_secs(5));
        assert_eq!(timeout("postgres://me@localhost/db?connect_timeout=2"), Duration::from_secs(2));
    }

    #[test]
    fn a_certificate_that_is_none_is_named() {
        let (_file, path) = password_file("no certificate");
        for (arguments, expected) in [
            (&["--db-ca", "/nowhere/ca.pem"][..], "/nowhere/ca.pem can't be read"),
            (&["--db-ca", &path], "has no certificate"),
            (&["--db-cert", &path], "set DB_KEY"),
            (&["--db-key", &path], "set DB_CERT"),
            (&["--db-cert", &path, "--db-key", &path], "has no certificate"),
            (&["--db-tls", "verify-ca"], "anyone has a certificate"),
            (&["--database-url", "postgres://localhost/db?sslrootcert=system&sslmode=require"], "set DB_CA"),
        ] {
            let error = settings(arguments).err().unwrap();
            assert!(format!("{error:#}").contains(expected), "{error:#}");
        }
    }
}
