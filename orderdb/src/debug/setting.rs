//! The settings: their values, but for secrets, and where each comes from.

use std::{env, ffi::OsStr, fmt, path::Path};

use anyhow::Context;
use clap::{Arg, ArgMatches, Command, parser::ValueSource};
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, Serializer};
use shared::env_file::EnvFile;

/// Secrets that have no flag.
const SECRETS: [&str; 7] = [
    "KAFKA_SASL_PASSWORD",
    "KAFKA_TLS_KEY_PASSWORD",
    "OAUTH_CLIENT_SECRET",
    "POSTGRES_PASSWORD",
    "RDS_PASSWORD",
    "REDIS_PASSWORD",
    "SUPABASE_PASSWORD",
];

/// What is printed in place of a secret.
const HIDDEN: &str = "******";

#[derive(Debug, Serialize)]
pub struct Setting {
    /// Its variable, or its flag if it has none.
    pub name: String,
    pub value: Value,
    pub source: Source,
}

/// The value of a setting, as far as it may be printed.
#[derive(Debug)]
pub enum Value {
    NotSet,
    Shown(String),
    /// It is or may have a secret.
    Hidden(SecretString),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSet => "",
            Self::Shown(value) => value,
            Self::Hidden(_) => HIDDEN,
        })
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::NotSet => serializer.serialize_none(),
            Self::Shown(_) | Self::Hidden(_) => serializer.collect_str(self),
        }
    }
}

/// Where a setting comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    Flag,
    Environment,
    EnvFile,
    /// A file of systemd's `LoadCredential=`.
    Credential,
    Default,
    NotSet,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::EnvFile => ".env",
            Self::Credential => "credential",
            Self::Default => "default",
            Self::NotSet => "not set",
        })
    }
}

impl Source {
    fn of_variable(name: &OsStr) -> Self {
        match EnvFile::loaded() {
            Some(file) if file.has_set(name) => Self::EnvFile,
            _ => Self::Environment,
        }
    }
}

/// A message without the hidden values: it may name a host, which is hidden if it is a URL.
pub fn without_hidden(message: String, settings: &[Setting]) -> String {
    settings.iter().fold(message, |message, setting| match &setting.value {
        Value::Hidden(value) if !value.expose_secret().is_empty() => message.replace(value.expose_secret(), HIDDEN),
        _ => message,
    })
}

/// The settings of `orderdb debug`, which has those of all commands that are about services. `program` is the command
/// line of this process.
///
/// # Errors
/// When the command line is not that of `orderdb debug`.
pub fn settings(mut program: Command) -> anyhow::Result<Vec<Setting>> {
    let matches = program.try_get_matches_from_mut(env::args_os())?;
    let (name, matches) = matches.subcommand().context("there is no command")?;
    let command = program.find_subcommand(name).context("there is no such command")?;
    let is_setting = |argument: &&Arg| argument.get_env().is_some() || argument.get_id() == "extra";
    Ok(command.get_arguments().filter(is_setting).map(|argument| setting(argument, matches)).collect())
}

fn setting(argument: &Arg, matches: &ArgMatches) -> Setting {
    let id = argument.get_id().as_str();
    let variable = argument.get_env();
    let name = match variable {
        Some(variable) => variable.to_string_lossy().into_owned(),
        None => format!("--{}", argument.get_long().unwrap_or(id)),
    };
    let source = match matches.value_source(id) {
        Some(ValueSource::CommandLine) => Source::Flag,
        Some(ValueSource::EnvVariable) => variable.map_or(Source::Environment, Source::of_variable),
        Some(_) => Source::Default,
        None => Source::NotSet,
    };
    let values = matches.get_raw(id).into_iter().flatten().map(|value| value.to_string_lossy());
    let value = values.collect::<Vec<_>>().join(", ");
    let value = match source {
        Source::NotSet => Value::NotSet,
        _ if value.is_empty() => Value::Shown(value),
        // A setting of librdkafka, KEY=VALUE.
        _ if variable.is_none() || argument.is_hide_env_values_set() || may_be_secret(&value) => {
            Value::Hidden(value.into())
        }
        _ => Value::Shown(value),
    };
    Setting { name, value, source }
}

/// Whether it looks like a URL, which was put into a setting for something else.
fn may_be_secret(value: &str) -> bool {
    value.contains("://") || value.contains('@') || value.contains("password")
}

/// The secrets that have no flag, and the URLs of `named` variables.
pub fn variables<'a>(named: impl Iterator<Item = &'a str>) -> Vec<Setting> {
    SECRETS.into_iter().chain(named).map(secret).collect()
}

fn secret(name: &str) -> Setting {
    let credential = || {
        let folder = env::var_os("CREDENTIALS_DIRECTORY")?;
        let size = Path::new(&folder).join(name).metadata().ok()?.len();
        (size > 0).then_some(Source::Credential)
    };
    let value = env::var(name).ok().filter(|value| !value.is_empty());
    let source = match value {
        Some(_) => Source::of_variable(name.as_ref()),
        None => credential().unwrap_or(Source::NotSet),
    };
    let value = if source == Source::NotSet { Value::NotSet } else { Value::Hidden(value.unwrap_or_default().into()) };
    Setting { name: name.to_owned(), value, source }
}
