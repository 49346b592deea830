//! The migrations: those of the binary, or those of a folder.

use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
};

use anyhow::{anyhow, bail, ensure};
use diesel::{
    migration::{self, MigrationSource},
    pg::Pg,
};
use diesel_migrations::FileBasedMigrations;
use shared::{database::migrations::MIGRATIONS, program::WrongUsage};

use super::recorder::{down_sql, up_sql};

/// A migration. Its `Display` is the name of its folder.
pub struct Migration {
    pub name: String,
    /// The digits at the beginning of the name, by which the database knows it.
    pub version: String,
    pub up: String,
    /// `None`: it can't be reverted.
    pub down: Option<String>,
    pub mode: Mode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In a transaction: all of it or nothing.
    Transaction,
    /// Without one, as `metadata.toml` says: for statements that can't run in a transaction.
    Alone,
}

impl fmt::Display for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// All migrations, oldest first.
pub struct Migrations {
    all: Vec<Migration>,
    /// `None`: those of the binary.
    folder: Option<PathBuf>,
}

impl Migrations {
    /// Those of the binary.
    ///
    /// # Errors
    /// When Diesel can't read them: a bug in this program.
    pub fn built_in() -> anyhow::Result<Self> {
        let all = read(&MIGRATIONS).map_err(|error| anyhow!("the migrations can't be read: {error}"))?;
        Ok(Self { all, folder: None })
    }

    /// Those of `folder`.
    ///
    /// # Errors
    /// When it is no folder of migrations, a file can't be read, or two migrations have one version.
    pub fn of_folder(folder: &Path) -> anyhow::Result<Self> {
        let unreadable =
            |error: &dyn fmt::Display| anyhow!("the migrations of {} can't be read: {error}", folder.display());
        ensure!(folder.is_dir(), unreadable(&"it is no folder"));
        let files = FileBasedMigrations::from_path(folder).map_err(|error| unreadable(&error))?;
        let all = read(&files).map_err(|error| unreadable(&error))?;
        if let Some(pair) = all.windows(2).find(|pair| pair[0].version == pair[1].version) {
            bail!(unreadable(&format!("{} and {} have the same version", pair[0], pair[1])));
        }
        Ok(Self { all, folder: Some(folder.to_owned()) })
    }

    pub fn all(&self) -> &[Migration] {
        &self.all
    }

    /// The versions of `applied` that are not among these migrations.
    pub fn unknown<'a>(&self, applied: &'a BTreeSet<String>) -> Vec<&'a str> {
        let is_known = |version: &str| self.all.iter().any(|migration| migration.version == version);
        applied.iter().map(String::as_str).filter(|version| !is_known(version)).collect()
    }

    /// # Errors
    /// When a migration is applied that is not among these.
    pub fn ensure_known(&self, applied: &BTreeSet<String>) -> anyhow::Result<()> {
        let unknown = self.unknown(applied).join(", ");
        match &self.folder {
            _ if unknown.is_empty() => Ok(()),
            None => bail!(
                "the schema is newer than this orderdb: it has migration {unknown}, which is unknown here. Use the \
                 version of orderflow that migrated it, or a later one; --migrations names a folder with others"
            ),
            Some(folder) => bail!(
                "the database has migration {unknown}, which {} does not have: the folder is older than the schema, or \
                 that of another database",
                folder.display()
            ),
        }
    }

    /// The migrations that are missing, up to that which `to` names: by its name, its version, or the beginning of one.
    ///
    /// # Errors
    /// When `to` names none, or several.
    pub fn missing(&self, applied: &BTreeSet<String>, to: Option<&str>) -> anyhow::Result<Vec<&Migration>> {
        let last = match to {
            None => self.all.len(),
            Some(to) => 1 + self.position(to)?,
        };
        Ok(self.all[..last].iter().filter(|migration| !applied.contains(&migration.version)).collect())
    }

    fn position(&self, to: &str) -> anyhow::Result<usize> {
        let begins = |migration: &Migration| migration.name.starts_with(to) || migration.version.starts_with(to);
        let mut named = self.all.iter().enumerate().filter(|(_, migration)| begins(migration));
        match (named.next(), named.next()) {
            (Some((position, _)), None) => Ok(position),
            (first, _) => {
                let what = if first.is_none() { "there is no migration" } else { "several migrations begin with" };
                let names: Vec<&str> = self.all.iter().map(|migration| migration.name.as_str()).collect();
                bail!(WrongUsage(format!("{what} {to}. There are: {}", names.join(", "))))
            }
        }
    }

    /// The migrations that are applied, newest first.
    pub fn applied(&self, applied: &BTreeSet<String>) -> Vec<&Migration> {
        self.all.iter().rev().filter(|migration| applied.contains(&migration.version)).collect()
    }
}

fn read(source: &impl MigrationSource<Pg>) -> migration::Result<Vec<Migration>> {
    let read_one = |migration: Box<dyn migration::Migration<Pg>>| -> migration::Result<Migration> {
        let in_transaction = migration.metadata().run_in_transaction();
        Ok(Migration {
            name: migration.name().to_string(),
            version: migration.name().version().to_string(),
            up: up_sql(&*migration)?,
            down: down_sql(&*migration).ok(),
            mode: if in_transaction { Mode::Transaction } else { Mode::Alone },
        })
    };
    let mut all = source.migrations()?.into_iter().map(read_one).collect::<migration::Result<Vec<_>>>()?;
    all.sort_by(|a, b| a.version.cmp(&b.version));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_migrations_can_be_reverted_and_run_in_transactions() {
        let migrations = Migrations::built_in().unwrap();
        for migration in migrations.all() {
            assert!(migration.down.is_some() && migration.mode == Mode::Transaction, "{migration}");
        }
        assert!(migrations.all()[0].up.contains("CREATE TABLE users"));
    }

    #[test]
    fn a_migration_is_named_by_its_folder_its_version_or_the_beginning_of_one() {
        let migrations = Migrations::built_in().unwrap();
        for name in ["2026-11-22-000000_number_cache_rounds", "2026-11-22", "20261122000000", "20261122"] {
            assert_eq!(migrations.missing(&BTreeSet::new(), Some(name)).unwrap().len(), 2, "{name}");
        }
        for (name, expected) in [("2026-11", "several migrations begin with 2026-11."), ("2025", "no migration 2025.")]
        {
            let error = migrations.missing(&BTreeSet::new(), Some(name)).err().unwrap();
            assert!(error.is::<WrongUsage>() && error.to_string().contains(expected), "{error}");
        }
    }
}
