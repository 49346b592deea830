//! Runs one scenario with the programs of two folders in turns.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail, ensure};
use chrono::Utc;
use shared::{
    ledger::{RunId, RunsFolder},
    order_id::RunTag,
};

use crate::interruptible::run_to_end;

/// Runs `scenario` `rounds` times a side, with the `loadtest` in each folder of programs. A side that was second in one
/// round is first in the next, so that a steady change of the machine does not favor one. Returns the folders with the
/// runs of A and of B.
///
/// # Errors
/// When a folder has no `loadtest`, or a run fails. A run whose requirements are not met is not an error.
pub async fn run_in_turns(
    scenario: &str,
    programs: [&Path; 2],
    rounds: u32,
    runs: &RunsFolder,
) -> anyhow::Result<[PathBuf; 2]> {
    let programs = programs.map(|folder| folder.join("loadtest"));
    for program in &programs {
        ensure!(
            program.is_file(),
            "{} does not exist: --a and --b name folders with built programs",
            program.display()
        );
    }
    let folder = runs.runs_dir.join(format!("compare-{}", RunId::new(Utc::now(), RunTag::random())));
    let folders = ["a", "b"].map(|side| folder.join(side));
    for round in 0..rounds {
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for side in order {
            tracing::info!("round {} of {rounds}: {}", round + 1, programs[side].display());
            run(&programs[side], scenario, &folders[side]).await?;
        }
    }
    Ok(folders)
}

async fn run(program: &Path, scenario: &str, folder: &Path) -> anyhow::Result<()> {
    // A relative path without a folder would be looked for in PATH.
    let mut command = Command::new(std::path::absolute(program)?);
    command.args(["run", scenario, "--runs-dir"]).arg(folder).stdout(Stdio::null());
    let name = program.display().to_string();
    let output = run_to_end(&name, command).await.with_context(|| format!("{name} run {scenario}"))?;
    match output.status.code() {
        Some(0 | 3) => Ok(()),
        _ => bail!("{name} run {scenario} failed, {}: its error is in the log above", output.status),
    }
}
