//! The name of a database, and the variables with its URLs.

use std::{ffi::OsStr, fmt};

use clap::{
    Arg, Command, Error,
    builder::TypedValueParser,
    error::{ErrorKind, Result},
    parser::ValueSource,
};

/// A variable of a named database.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Variable {
    /// The URL of a managed database, which uses TLS on any host.
    Rds,
    Url,
    /// The URL of the server behind a pooler.
    Direct,
}

impl Variable {
    pub(super) const ALL: [Self; 3] = [Self::Rds, Self::Url, Self::Direct];

    /// What is before and after the name of the database.
    fn parts(self) -> (&'static str, &'static str) {
        match self {
            Self::Rds => ("RDS_", "_URL"),
            Self::Url => ("DATABASE_URL_", ""),
            Self::Direct => ("DATABASE_DIRECT_URL_", ""),
        }
    }

    pub(super) fn of(self, database: &DatabaseName) -> String {
        let (prefix, suffix) = self.parts();
        format!("{prefix}{}{suffix}", database.0.to_ascii_uppercase())
    }

    /// The database in the name of a variable.
    pub(super) fn name_in(self, variable: &str) -> Option<DatabaseName> {
        let (prefix, suffix) = self.parts();
        let name = variable.strip_prefix(prefix)?.strip_suffix(suffix)?;
        let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        (!name.is_empty() && name.chars().all(is_name)).then(|| DatabaseName::new(name))
    }
}

/// Name of a database, as in its variables but in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DatabaseName(String);

impl DatabaseName {
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_ascii_lowercase().replace('-', "_"))
    }
}

impl fmt::Display for DatabaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Accepts the characters of a name. An empty variable counts as not set; an empty flag is an unset variable of a
/// script, which must not lead to the default database.
#[derive(Clone)]
pub(super) struct NameParser;

impl TypedValueParser for NameParser {
    type Value = String;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<String> {
        self.parse_ref_(command, argument, value, ValueSource::CommandLine)
    }

    fn parse_ref_(
        &self,
        command: &Command,
        _argument: Option<&Arg>,
        value: &OsStr,
        source: ValueSource,
    ) -> Result<String> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        match value.to_str() {
            Some("") if source == ValueSource::EnvVariable => Ok(String::new()),
            Some(name) if !name.is_empty() && name.chars().all(is_name) => Ok(name.to_owned()),
            // It may be a URL with a password.
            _ => {
                let message = "--database is a name of letters, digits, - and _, such as eu-west: its URL is in \
                               RDS_EU_WEST_URL or DATABASE_URL_EU_WEST\n";
                Err(Error::raw(ErrorKind::ValueValidation, message).with_cmd(command))
            }
        }
    }
}
