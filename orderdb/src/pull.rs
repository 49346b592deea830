//! `orderdb pull`: the schema of the database as SQL, by `pg_dump`.

use std::{
    fs::Permissions,
    io::{ErrorKind, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Stdio,
};

use anyhow::{Context, bail};
use shared::{
    database::{DatabaseSettings, LibpqEnvironment},
    program::{Outcome, StandardOutput},
};
use tempfile::Builder;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use crate::settings::PullSettings;

const ARGUMENTS: [&str; 4] = ["--schema-only", "--no-owner", "--no-privileges", "--no-password"];

/// Prints the schema, or writes it to the file of the settings. A file is replaced as a whole or not at all.
///
/// # Errors
/// When pg_dump is not installed, fails or takes too long, or the file can't be written.
pub async fn pull(
    settings: &PullSettings,
    database: &DatabaseSettings,
    stop: CancellationToken,
) -> anyhow::Result<Outcome> {
    let database = database.direct();
    let dumping = tokio::time::timeout(settings.statement_deadline, dump(database));
    let Some(dumped) = stop.run_until_cancelled(dumping).await else {
        bail!("interrupted: nothing was written");
    };
    let deadline = humantime::format_duration(settings.statement_deadline);
    let schema = dumped.with_context(|| {
        format!("pg_dump takes longer than {deadline}, which --statement-deadline sets: a table may be locked")
    })??;
    match &settings.file {
        None => StandardOutput::get().write_all(&schema).context("stdout can't be written")?,
        Some(file) => {
            write(file, &schema).with_context(|| format!("{} can't be written", file.display()))?;
            println!("wrote the schema of {database} to {}", file.display());
        }
    }
    Ok(Outcome::Valid)
}

async fn dump(database: &DatabaseSettings) -> anyhow::Result<Vec<u8>> {
    let environment = LibpqEnvironment::of(&database.with_current_password().await?)?;
    let mut pg_dump = Command::new("pg_dump");
    pg_dump.args(ARGUMENTS).stdin(Stdio::null()).kill_on_drop(true).process_group(0);
    // Settings of the caller would lead to another database.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
        pg_dump.env_remove(name);
    }
    pg_dump.envs(environment.variables());
    let output = match pg_dump.output().await {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "pg_dump is not installed: install the client programs of PostgreSQL (Debian: postgresql-client), of the \
             version of the server or a later one"
        ),
        Err(error) => return Err(error).context("pg_dump can't be started"),
    };
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        let advice = match message.contains("server version mismatch") {
            true => ": install the client programs of the version of the server, and put them first in PATH",
            false => "",
        };
        let lines: Vec<&str> = message.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        bail!("pg_dump of {database} failed ({}): {}{advice}", output.status, lines.join("; "));
    }
    Ok(output.stdout)
}

fn write(file: &Path, schema: &[u8]) -> std::io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The rights of a new file, those of the umask; a temporary file has fewer.
    let mut written = Builder::new().permissions(Permissions::from_mode(0o666)).tempfile_in(folder)?;
    written.write_all(schema)?;
    written.persist(file)?;
    Ok(())
}
