use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{
    Args, Subcommand,
    builder::{OsStringValueParser, TypedValueParser},
    value_parser,
};
use shared::{
    confirm::YesDestroy,
    program::{OutputFormat, positive_duration},
};

#[derive(Clone, Debug, Args)]
pub struct MigrateSettings {
    #[command(subcommand)]
    pub action: MigrateAction,
    /// Folder with the migrations to use instead of those of this program; for `generate`, the folder of the new one. An
    /// empty one counts as not set.
    #[arg(
        long,
        env = "ORDERDB_MIGRATIONS",
        global = true,
        value_name = "FOLDER",
        value_parser = OsStringValueParser::new().map(PathBuf::from)
    )]
    migrations: Option<PathBuf>,
    /// Give up when one migration takes longer, or another `migrate` does.
    #[arg(long, global = true, value_name = "DURATION", default_value = "10m", value_parser = positive_duration)]
    pub statement_deadline: Duration,
    /// Don't count down before the schema of another machine's database is changed. Without a terminal there is no
    /// count-down.
    #[arg(long, global = true)]
    pub no_wait: bool,
}

impl MigrateSettings {
    /// Those of an action with the migrations of this program.
    pub fn built_in(action: MigrateAction, statement_deadline: Duration) -> Self {
        Self { action, migrations: None, statement_deadline, no_wait: false }
    }

    /// With the migrations of `folder`, unless --migrations is set.
    pub fn with_own(mut self, folder: Option<PathBuf>) -> Self {
        if self.folder().is_none() {
            self.migrations = folder;
        }
        self
    }

    /// The folder of the migrations. `None`: those of this program.
    pub fn folder(&self) -> Option<&Path> {
        self.migrations.as_deref().filter(|folder| !folder.as_os_str().is_empty())
    }

    pub fn waiting(&self) -> Waiting {
        if self.no_wait { Waiting::Skipped } else { Waiting::OnTerminal }
    }
}

/// Whether there is time to stop before the schema of another machine's database is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    OnTerminal,
    Skipped,
}

#[derive(Clone, Debug, Subcommand)]
pub enum MigrateAction {
    /// Apply every migration that is missing.
    Up {
        /// Stop after this migration: its name as `status` prints it, or the beginning of it, such as 2026-11-22.
        #[arg(long, value_name = "VERSION")]
        to: Option<String>,
    },
    /// Revert the last migration. What it destroys is shown, and must be confirmed.
    Down(YesDestroy),
    /// Revert the last migration and apply it again.
    Redo(YesDestroy),
    /// Revert the last COUNT migrations, each in a transaction of its own.
    Rollback {
        /// Number of migrations.
        #[arg(value_parser = value_parser!(u32).range(1..))]
        count: u32,
        #[command(flatten)]
        yes: YesDestroy,
    },
    /// List the migrations and whether each is applied. Exits with 3 when one is missing.
    Status {
        /// Output format of the list.
        #[arg(long, value_enum, default_value_t)]
        output: OutputFormat,
    },
    /// Create the files of a new migration: in --migrations, else in shared/migrations of a checkout.
    Generate {
        /// What it does: lowercase letters, digits and underscores, such as `add_coupons`.
        #[arg(value_parser = migration_name)]
        name: String,
    },
}

fn migration_name(text: &str) -> Result<String, String> {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let is_name = text.starts_with(|first: char| first.is_ascii_lowercase()) && text.chars().all(is_allowed);
    match is_name && text.len() <= 100 {
        true => Ok(text.to_owned()),
        false => Err("a name has lowercase letters, digits and underscores, and begins with a letter".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_that_of_a_folder_on_any_system() {
        assert!(migration_name("add_coupons_2").is_ok());
        for name in ["", "Add", "add coupons", "../x", "2nd", "_a", "add-coupons", "쿠폰"] {
            assert!(migration_name(name).is_err(), "{name}");
        }
    }
}
