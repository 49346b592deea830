use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use shared::program::{Outcome, WrongUsage};

/// The folder of the migrations in a checkout of orderflow.
const CHECKOUT: &str = "shared/migrations";

/// Creates the folder of a new migration `name`, with the files for its SQL, and prints its path.
///
/// # Errors
/// When there is no folder for it, a migration of this name exists, or the files can't be written.
pub fn generate(name: &str, folder: Option<&Path>) -> anyhow::Result<Outcome> {
    let folder = match folder {
        Some(folder) => folder.to_owned(),
        None => folder_of_checkout()?,
    };
    ensure!(folder.is_dir(), WrongUsage(format!("{} is no folder: create it, or name another one", folder.display())));
    let present = names(&folder).with_context(|| format!("{} can't be read", folder.display()))?;
    if let Some(same) = present.iter().find(|present| present.split_once('_').is_some_and(|(_, other)| other == name)) {
        return Err(WrongUsage(format!("{} exists: choose another name", folder.join(same).display())).into());
    }
    let migration = folder.join(format!("{}_{name}", free_version(&present, Utc::now())));
    let written = (|| {
        fs::create_dir(&migration)?;
        fs::write(migration.join("up.sql"), "-- What this migration changes. It runs in a transaction.\n")?;
        fs::write(migration.join("down.sql"), "-- Reverts up.sql. It runs in a transaction.\n")
    })();
    written.with_context(|| format!("{} can't be written", migration.display()))?;
    println!("{}", migration.display());
    Ok(Outcome::Valid)
}

fn folder_of_checkout() -> anyhow::Result<PathBuf> {
    let here = std::env::current_dir().context("the working directory can't be read")?;
    let found = here.ancestors().map(|folder| folder.join(CHECKOUT)).find(|folder| folder.is_dir());
    found.ok_or_else(|| {
        WrongUsage(format!("there is no {CHECKOUT} here: name the folder of the migrations in --migrations")).into()
    })
}

fn names(folder: &Path) -> std::io::Result<Vec<String>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// The first second from `now` on that no migration has.
fn free_version(present: &[String], now: DateTime<Utc>) -> String {
    let versions = (0..).map(|seconds| (now + TimeDelta::seconds(seconds)).format("%Y-%m-%d-%H%M%S").to_string());
    let is_free = |version: &String| !present.iter().any(|name| name.starts_with(version.as_str()));
    versions.into_iter().find(is_free).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_migrations_never_have_the_same_version() {
        let now = DateTime::parse_from_rfc3339("2026-11-27T09:59:59Z").unwrap().to_utc();
        assert_eq!(free_version(&[], now), "2026-11-27-095959");
        assert_eq!(free_version(&["2026-11-27-095959_a".to_owned()], now), "2026-11-27-100000");
    }
}
