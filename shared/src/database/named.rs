//! Databases by name: `--database NAME` reads the URL of `RDS_<NAME>_URL` or `DATABASE_URL_<NAME>` in place of the
//! settings of the default database.

use std::{collections::BTreeMap, ffi::OsStr};

use anyhow::bail;
use clap::{
    ArgMatches, Args, Command, Error, FromArgMatches,
    error::{ErrorKind, Result},
    parser::ValueSource,
};
use secrecy::{ExposeSecret, SecretString};

use super::{
    database_name::{DatabaseName, NameParser, Variable},
    database_url::{self, DatabaseUrl},
    tls::TlsOptions,
};

/// Name of the default database in a list of all databases. No other database can have it.
pub const DEFAULT_DATABASE: &str = "(default)";

/// Settings of the default database, without those that have no effect on their own, such as the certificates.
const DEFAULT_SETTINGS: [&str; 6] =
    ["database_url", "db_type", "postgres_user", "postgres_host", "postgres_port", "postgres_db"];
/// Settings that name another database than `--database`.
const CONFLICTING: [&str; 2] = ["database_url", "database_direct_url"];

/// The flag. Its variable has a prefix of its own: others read a `DATABASE_NAME`, too.
#[derive(Args)]
struct NameArgs {
    /// Use the database NAME: the URL in RDS_<NAME>_URL or DATABASE_URL_<NAME>, with NAME in upper case, and in
    /// DATABASE_DIRECT_URL_<NAME> if there is a pooler.
    #[arg(
        long,
        env = "ORDERFLOW_DATABASE",
        value_name = "NAME",
        value_parser = NameParser,
        global = true,
        help_heading = "Database"
    )]
    database: Option<String>,
}

/// The name that is selected, and the variables of all named databases.
#[derive(Clone, Debug)]
pub(super) struct NamedArgs {
    selected: Option<DatabaseName>,
    default: DefaultDatabase,
    /// Those that are not empty, by their names.
    variables: BTreeMap<String, SecretString>,
}

/// Whether there are settings for the default database, other than defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DefaultDatabase {
    Set,
    NotSet,
}

impl Args for NamedArgs {
    fn augment_args(command: Command) -> Command {
        NameArgs::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        NameArgs::augment_args_for_update(command)
    }
}

impl FromArgMatches for NamedArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self> {
        let source = |id: &str| matches.value_source(id);
        let is_flag = |id: &str| source(id) == Some(ValueSource::CommandLine);
        let conflicting = CONFLICTING.into_iter().find(|id| is_flag(id));
        let selected = NameArgs::from_arg_matches(matches)?.database.filter(|name| !name.is_empty());
        let selected = match conflicting {
            Some(other) if is_flag("database") => {
                let other = other.replace('_', "-");
                let message = format!("--database and --{other} name two databases: leave one of them out\n");
                return Err(Error::raw(ErrorKind::ArgumentConflict, message));
            }
            // A flag has priority over the variable with the name.
            Some(_) => None,
            None => selected,
        };
        let is_set = |id: &&str| source(id).is_some_and(|source| source != ValueSource::DefaultValue);
        // Its type has `DATABASE_URL` in the environment, which `deploy/stack env` sets to an empty value.
        let is_empty = |id: &&str| matches.get_raw(id).is_some_and(|mut raw| raw.all(OsStr::is_empty));
        let default = match DEFAULT_SETTINGS.iter().any(|id| is_set(id) && !is_empty(id)) {
            true => DefaultDatabase::Set,
            false => DefaultDatabase::NotSet,
        };
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
            Some((name, value.into()))
        });
        Ok(Self { selected: selected.as_deref().map(DatabaseName::new), default, variables: of_named(variables) })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<()> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The variables of named databases that are not empty.
fn of_named(variables: impl Iterator<Item = (String, SecretString)>) -> BTreeMap<String, SecretString> {
    let is_of_named = |name: &str| Variable::ALL.iter().any(|variable| variable.name_in(name).is_some());
    variables.filter(|(name, value)| is_of_named(name) && !value.expose_secret().is_empty()).collect()
}

/// A database with a name, and the URLs in its variables.
pub(super) struct NamedDatabase<'a> {
    kind: Variable,
    url: (String, &'a SecretString),
    direct: Option<(String, &'a SecretString)>,
}

impl NamedArgs {
    /// The database that is selected; `None`: the default one.
    ///
    /// # Errors
    /// When its variable is not set, or both are.
    pub(super) fn selected(&self) -> anyhow::Result<Option<NamedDatabase<'_>>> {
        let Some(name) = &self.selected else { return Ok(None) };
        let found = |kind: Variable| {
            let variable = kind.of(name);
            self.variables.get(&variable).map(|url| (variable, url))
        };
        let (kind, url) = match (found(Variable::Rds), found(Variable::Url)) {
            (Some(url), None) => (Variable::Rds, url),
            (None, Some(url)) => (Variable::Url, url),
            (Some((rds, _)), Some((url, _))) => {
                bail!("database {name} is set twice, by {rds} and by {url}: unset one of them")
            }
            (None, None) => {
                let names: Vec<String> = self.names().iter().map(ToString::to_string).collect();
                let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                let (rds, url) = (Variable::Rds.of(name), Variable::Url.of(name));
                bail!(
                    "there is no database {name}: set {rds} or {url} in the environment or in .env; databases that are \
                     set: {known}"
                )
            }
        };
        Ok(Some(NamedDatabase { kind, url, direct: found(Variable::Direct) }))
    }

    /// The name that is selected.
    pub(super) fn name(&self) -> Option<&DatabaseName> {
        self.selected.as_ref()
    }

    /// The names of the variables that are set.
    pub(super) fn variables(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().map(String::as_str)
    }

    /// All names that have a URL, sorted.
    pub(super) fn names(&self) -> Vec<DatabaseName> {
        let name =
            |variable: &String| [Variable::Rds, Variable::Url].into_iter().find_map(|kind| kind.name_in(variable));
        let mut names: Vec<DatabaseName> = self.variables.keys().filter_map(name).collect();
        names.sort();
        names.dedup();
        names
    }

    /// The databases to choose from: the default one (`None`) if it is set or the only one, then those with names.
    pub(super) fn all(&self) -> Vec<Option<DatabaseName>> {
        let names = self.names();
        let has_default = self.default == DefaultDatabase::Set || names.is_empty();
        has_default.then_some(None).into_iter().chain(names.into_iter().map(Some)).collect()
    }

    /// The same with another selection.
    pub(super) fn with_selected(&self, selected: Option<DatabaseName>) -> Self {
        Self { selected, ..self.clone() }
    }

    /// The URLs of the selected database changed by `change`, which gets a URL and the name of its variable.
    pub(super) fn changed(
        &self,
        change: impl Fn(&SecretString, &str) -> anyhow::Result<SecretString>,
    ) -> anyhow::Result<Self> {
        let mut other = self.clone();
        for (name, url) in self.variables_of_selected() {
            other.variables.insert(name.to_owned(), change(url, name)?);
        }
        Ok(other)
    }

    fn variables_of_selected(&self) -> impl Iterator<Item = (&str, &SecretString)> {
        let names = self.selected.iter().flat_map(|name| Variable::ALL.map(|kind| kind.of(name)));
        names.filter_map(|name| self.variables.get_key_value(&name)).map(|(name, url)| (name.as_str(), url))
    }

    /// The variables for a child process: the selection, empty if there is none, and the URLs of what is selected.
    pub(super) fn environment(&self) -> Vec<(&str, Option<String>)> {
        let name = self.selected.as_ref().map_or_else(String::new, ToString::to_string);
        let urls = self.variables_of_selected().map(|(name, url)| (name, Some(url.expose_secret().to_owned())));
        std::iter::once(("ORDERFLOW_DATABASE", Some(name))).chain(urls).collect()
    }
}

impl NamedDatabase<'_> {
    /// The URL that the programs use. `rds_authorities` is the setting with the CA certificate of RDS.
    pub(super) fn read(&self, rds_authorities: &Option<String>) -> anyhow::Result<DatabaseUrl> {
        self.parse(&self.url, rds_authorities)
    }

    /// The server behind a pooler.
    pub(super) fn direct(&self, rds_authorities: &Option<String>) -> anyhow::Result<Option<DatabaseUrl>> {
        self.direct.as_ref().map(|url| self.parse(url, rds_authorities)).transpose()
    }

    fn parse(
        &self,
        (variable, url): &(String, &SecretString),
        authorities: &Option<String>,
    ) -> anyhow::Result<DatabaseUrl> {
        let mut url = database_url::parse(url.expose_secret(), variable)?;
        if self.is_managed() {
            url.tls = url.tls.or(TlsOptions::with_authorities(authorities));
        }
        Ok(url)
    }

    /// Whether it uses TLS on any host.
    pub(super) fn is_managed(&self) -> bool {
        self.kind == Variable::Rds
    }
}

#[cfg(test)]
mod tests;
