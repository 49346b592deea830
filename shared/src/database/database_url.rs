//! The URL of a database: that of libpq, in which a password may also have special characters as they are.

use std::str::FromStr;

use anyhow::{anyhow, bail, ensure};
use clap::ValueEnum;
use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use url::form_urlencoded;

use super::{
    pooler::Pooler,
    tls::{Authorities, TlsMode, TlsOptions},
};

/// The settings in a URL that tokio-postgres knows.
const DRIVER_SETTINGS: [&str; 17] = [
    "user",
    "password",
    "dbname",
    "host",
    "hostaddr",
    "port",
    "application_name",
    "options",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "target_session_attrs",
    "channel_binding",
    "load_balance_hosts",
];
/// Those that it does not know: TLS, and Prisma's `pgbouncer` for a pooler in transaction mode.
const OWN_SETTINGS: [&str; 5] = ["sslmode", "sslrootcert", "sslcert", "sslkey", "pgbouncer"];

/// What a URL says.
pub(super) struct DatabaseUrl {
    pub config: Config,
    pub tls: TlsOptions,
    pub pooler: Option<Pooler>,
}

/// Reads a URL, the value of the setting `name`.
///
/// # Errors
/// When the value is no URL of PostgreSQL, or has a setting that is not known or not valid. The message has nothing of
/// the value but names of settings, since any part of it may be the password.
pub(super) fn parse(text: &str, name: &str) -> anyhow::Result<DatabaseUrl> {
    split(text, name)?.1.read(name)
}

/// The URL with another database.
///
/// # Errors
/// As [`parse`].
pub(super) fn with_database(text: &str, name: &str, database: &str) -> anyhow::Result<String> {
    let (scheme, parts) = split(text, name)?;
    let user = parts.user.map(|user| match parts.password {
        Some(password) => format!("{user}:{password}@"),
        None => format!("{user}@"),
    });
    let (hosts, _) = parts.place.split_once('/').unwrap_or((parts.place, ""));
    let settings: Vec<&str> = parts.settings.split('&').filter(|pair| !pair.starts_with("dbname=")).collect();
    let database: String = form_urlencoded::byte_serialize(database.as_bytes()).collect();
    Ok(format!("{scheme}://{}{hosts}/{database}?{}", user.unwrap_or_default(), settings.join("&")))
}

/// The scheme and the parts of a URL.
fn split<'a>(text: &'a str, name: &str) -> anyhow::Result<(&'a str, Parts<'a>)> {
    let malformed = || {
        anyhow!(
            "{name} is not a PostgreSQL URL: write postgres://USER:PASSWORD@HOST:PORT/DB, with %2F for a / and %40 for \
             an @ in the user"
        )
    };
    let (scheme, rest) = text.split_once("://").ok_or_else(malformed)?;
    if !["postgres", "postgresql"].contains(&scheme) {
        let is_name = scheme.len() <= 20 && scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+');
        ensure!(is_name, malformed());
        bail!("{name} is not a PostgreSQL URL but begins with {scheme}://: orderflow stores its orders in PostgreSQL");
    }
    let is_known = |key: &str| DRIVER_SETTINGS.contains(&key) || OWN_SETTINGS.contains(&key);
    let is_word = |key: &str| !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let parts = Parts::first(rest, is_known).or_else(|| Parts::last(rest, is_word)).ok_or_else(malformed)?;
    Ok((scheme, parts))
}

/// Whether a value has a password: a URL, or libpq's `key=value` form, which is refused later.
pub(super) fn has_password(text: &str) -> bool {
    match parse(text, "URL") {
        Ok(url) => url.config.get_password().is_some(),
        Err(_) => {
            let user = text.split_once("://").and_then(|(_, rest)| rest.split_once('@')).map(|(user, _)| user);
            user.is_some_and(|user| user.contains(':')) || text.contains("password")
        }
    }
}

/// The parts of a URL, still encoded.
struct Parts<'a> {
    user: Option<&'a str>,
    password: Option<&'a str>,
    /// `HOST:PORT,HOST:PORT/DATABASE`.
    place: &'a str,
    settings: &'a str,
}

impl<'a> Parts<'a> {
    /// Splits what follows `://`. A password may have the characters that separate the parts, so the user ends at the
    /// first `@` that hosts, a database and settings follow.
    fn first(rest: &'a str, is_setting: impl Fn(&str) -> bool) -> Option<Self> {
        let mut ends = std::iter::once(None).chain(rest.match_indices('@').map(|(end, _)| Some(end)));
        ends.find_map(|end| Self::at(rest, end, &is_setting))
    }

    /// The same at the last `@`: with settings that are not known, what precedes it may be a password, of which no part
    /// must be taken for the name of a setting.
    fn last(rest: &'a str, is_setting: impl Fn(&str) -> bool) -> Option<Self> {
        Self::at(rest, rest.rfind('@'), &is_setting)
    }

    /// The parts when the user ends at `end`; `None` when what follows is not a place and settings.
    fn at(rest: &'a str, end: Option<usize>, is_setting: &impl Fn(&str) -> bool) -> Option<Self> {
        let (user, rest) = end.map_or((None, rest), |end| (Some(&rest[..end]), &rest[end + 1..]));
        let (place, settings) = rest.split_once('?').unwrap_or((rest, ""));
        let (hosts, database) = place.split_once('/').unwrap_or((place, ""));
        let has_settings = settings
            .split('&')
            .filter(|pair| !pair.is_empty())
            .all(|pair| pair.split_once('=').is_some_and(|(key, _)| is_setting(key)));
        let is_place = hosts.split(',').all(is_host) && !database.contains(['@', '/']);
        let (user, password) = user.map_or((None, None), |user| match user.split_once(':') {
            Some((user, password)) => (Some(user), Some(password)),
            None => (Some(user), None),
        });
        (is_place && has_settings).then_some(Self { user, password, place, settings })
    }

    fn read(&self, name: &str) -> anyhow::Result<DatabaseUrl> {
        let (mut tls, mut pooler) = (TlsOptions::default(), None);
        let mut driver = form_urlencoded::Serializer::new(String::new());
        for (key, value) in form_urlencoded::parse(self.settings.replace('+', "%2B").as_bytes()) {
            match &*key {
                "sslmode" => tls.mode = Some(mode(&value, name)?),
                "sslrootcert" if value == "system" => tls.authorities = Some(Authorities::System),
                "sslrootcert" => tls.authorities = Some(Authorities::File(value.as_ref().into())),
                "sslcert" => tls.certificate = Some(value.as_ref().into()),
                "sslkey" => tls.key = Some(value.as_ref().into()),
                "pgbouncer" => match &*value {
                    "true" => pooler = Some(Pooler::Transaction),
                    "false" => pooler = Some(Pooler::None),
                    _ => bail!("{name} is not a valid URL: pgbouncer is true or false"),
                },
                // tokio-postgres takes it for one host.
                "host" => drop(driver.extend_pairs(value.split(',').map(|host| ("host", host)))),
                key if DRIVER_SETTINGS.contains(&key) => drop(driver.append_pair(key, &value)),
                key => bail!(
                    "{name} has the setting {key:?}, which is not supported: the settings are {}",
                    [&DRIVER_SETTINGS[..], &OWN_SETTINGS].concat().join(", ")
                ),
            }
        }
        // tokio-postgres reads %20 as a space, but not +.
        let settings = driver.finish().replace('+', "%20");
        let config = Config::from_str(&format!("postgres://{}?{settings}", self.place));
        let mut config = config.map_err(|error| anyhow!("{name} is not a PostgreSQL URL: {}", cause(&error)))?;
        if let Some(user) = self.user.filter(|user| !user.is_empty()) {
            config.user(percent_decode_str(user).decode_utf8_lossy());
        }
        if let Some(password) = self.password {
            config.password(percent_decode_str(password).collect::<Vec<u8>>());
        }
        if config.get_hosts().is_empty() {
            // TLS needs the name that the certificate is for.
            for address in config.get_hostaddrs().to_vec() {
                config.host(address.to_string());
            }
        }
        Ok(DatabaseUrl { config, tls, pooler })
    }
}

fn cause(error: &tokio_postgres::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// Whether this is a host with or without a port, or nothing, for a host in the settings.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (text, ""),
    };
    let in_name = |c: char| c.is_alphanumeric() || "-._%".contains(c);
    let is_address = |host: &str| {
        host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).is_some_and(|host| !host.contains(['[', ']']))
    };
    port.chars().all(|c| c.is_ascii_digit()) && (host.chars().all(in_name) || is_address(host))
}

fn mode(value: &str, name: &str) -> anyhow::Result<TlsMode> {
    if ["allow", "prefer"].contains(&value) {
        bail!(
            "{name} has sslmode={value}, which falls back to an unencrypted connection: write disable, require, \
             verify-ca or verify-full"
        );
    }
    TlsMode::from_str(value, false)
        .map_err(|_| anyhow!("{name} is not a valid URL: sslmode is disable, require, verify-ca or verify-full"))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;
    use tokio_postgres::config::{Host, TargetSessionAttrs};

    use super::*;

    fn error(text: &str) -> String {
        format!("{:#}", parse(text, "DATABASE_URL").err().unwrap())
    }

    #[test]
    fn a_password_has_any_characters_as_they_are_or_encoded() {
        for (text, password) in [
            ("postgres://me:p@s/s:w?rd@db.example.com:5432/orders", "p@s/s:w?rd"),
            ("postgres://me:p%40s%2Fs%3Aw%3Frd@db.example.com:5432/orders", "p@s/s:w?rd"),
            ("postgresql://me:100%@db.example.com:5432/orders", "100%"),
            ("postgres://me:a#b&c=d@db.example.com:5432/orders?sslmode=require", "a#b&c=d"),
            ("postgres://me:a@b/c?d=e@db.example.com:5432/orders?application_name=x@y", "a@b/c?d=e"),
        ] {
            let config = parse(text, "DATABASE_URL").unwrap().config;
            assert_eq!(String::from_utf8_lossy(config.get_password().unwrap()), password, "{text}");
            assert_eq!((config.get_user(), config.get_dbname()), (Some("me"), Some("orders")), "{text}");
            assert_eq!(config.get_hosts(), [Host::Tcp("db.example.com".to_owned())], "{text}");
            assert_eq!(config.get_ports(), [5432], "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_password_is_read_when_it_is_encoded(password in ".{1,20}") {
            let encoded: String = form_urlencoded::byte_serialize(password.as_bytes()).collect();
            let text = format!("postgres://me:{}@localhost/db", encoded.replace('+', "%20"));
            let config = parse(&text, "DATABASE_URL").unwrap().config;
            prop_assert_eq!(config.get_password(), Some(password.as_bytes()));
        }
    }

    #[test]
    fn every_setting_is_honoured() {
        let url = parse(
            "postgres://me@a.example.com:5433,[::1]/orders?hostaddr=10.0.0.1,::1&application_name=a%20b+c&options=-c%20x%3D1\
             &target_session_attrs=read-write&connect_timeout=7&sslmode=verify-ca&sslrootcert=%2Fetc%2Fca.pem\
             &sslcert=me.pem&sslkey=me.key&pgbouncer=true",
            "DATABASE_URL",
        )
        .unwrap();
        let config = url.config;
        assert_eq!(config.get_hosts(), ["a.example.com", "::1"].map(|host| Host::Tcp(host.to_owned())));
        assert_eq!(config.get_hostaddrs(), ["10.0.0.1", "::1"].map(|address| address.parse::<IpAddr>().unwrap()));
        assert_eq!(config.get_ports(), [5433, 5432]);
        assert_eq!((config.get_application_name(), config.get_options()), (Some("a b+c"), Some("-c x=1")));
        assert_eq!(config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        assert_eq!(config.get_connect_timeout(), Some(&std::time::Duration::from_secs(7)));
        let tls = TlsOptions {
            mode: Some(TlsMode::VerifyCa),
            authorities: Some(Authorities::File("/etc/ca.pem".into())),
            certificate: Some("me.pem".into()),
            key: Some("me.key".into()),
        };
        assert_eq!((url.tls, url.pooler), (tls, Some(Pooler::Transaction)));
        let hosts = |text: &str| parse(text, "DATABASE_URL").unwrap().config.get_hosts().to_vec();
        let named = |host: &str| Host::Tcp(host.to_owned());
        assert_eq!(hosts("postgres:///orders?host=/run/postgresql"), [Host::Unix("/run/postgresql".into())]);
        assert_eq!(hosts("postgres:///orders?host=a,b"), [named("a"), named("b")]);
        assert_eq!(hosts("postgres:///orders?hostaddr=10.0.0.1"), [named("10.0.0.1")]);
    }

    #[test]
    fn another_database_changes_nothing_else() {
        let text = "postgres://me:p@s/s@a:1,b:2/orders?sslmode=require&dbname=orders&options=x";
        let other = with_database(text, "DATABASE_URL", "bench_1").unwrap();
        assert_eq!(other, "postgres://me:p@s/s@a:1,b:2/bench_1?sslmode=require&options=x");
        let supabase = "postgres://me:[YOUR-PASSWORD]@db.example.com:5432/postgres";
        let other = with_database(supabase, "SUPABASE_DIRECT_URL", "bench_1").unwrap();
        assert_eq!(other, "postgres://me:[YOUR-PASSWORD]@db.example.com:5432/bench_1?");
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name_and_no_value_is_printed() {
        for (text, expected) in [
            ("mysql://me:hunter2@host/db?a=b", "begins with mysql://"),
            ("host=host password=hunter2", "not a PostgreSQL URL"),
            ("postgres://me:hunter2@host/db?sslmod=require", "\"sslmod\""),
            ("postgres://me:hunter2@host/db?pgbouncer=hunter2", "true or false"),
            ("postgres://me:hunter2@host/db?sslmode=prefer", "falls back"),
            ("postgres://me:hunter2@host/db?sslmode=hunter2", "sslmode is disable"),
            ("postgres://me:hunter2@host/db?target_session_attrs=hunter2", "target_session_attrs"),
            ("postgres://me:hunter2@host:hunter2/db", "not a PostgreSQL URL"),
            ("postgres://me:12?hunter2=x@host/db?pool_timeout=1", "\"pool_timeout\""),
        ] {
            let message = error(text);
            assert!(message.contains(expected) && message.contains("DATABASE_URL"), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn a_password_is_noticed_in_a_url_with_any_settings() {
        for text in [
            "postgres://me:hunter2@host/db?sslrootcert=ca.pem",
            "postgres://host/db?user=me&password=hunter2",
            "postgres://me:hunter2@host/db?unknown=1",
            "host=host password=hunter2",
        ] {
            assert!(has_password(text), "{text}");
        }
        for text in ["postgres://me@host:5432/db?sslmode=verify-full", "postgres://me@host/db?unknown=1", ""] {
            assert!(!has_password(text), "{text}");
        }
    }
}
