//! The manual pages and shell completions of all programs, under their names in the Debian package. The manifest of
//! this crate describes that package.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_complete::Shell;

/// The programs, by their names in the package: `producer` or `consumer` alone could be anything.
pub fn programs() -> [Command; 5] {
    [
        cache_worker::settings::Command::command().name("orderflow-cache-worker"),
        consumer::settings::Command::command().name("orderflow-consumer"),
        benches::settings::Command::command().name("orderflow-loadtest"),
        orderdb::settings::Command::command().name("orderflow-orderdb"),
        producer::settings::Command::command().name("orderflow-producer"),
    ]
}

/// Writes a manual page for each program and subcommand to `folder/man`, and the completions of each program to
/// `folder/bash`, `folder/fish` and `folder/zsh`.
///
/// # Errors
/// When a file can't be written.
pub fn write_files(folder: &Path) -> anyhow::Result<()> {
    let man = create(folder.join("man"))?;
    for program in programs() {
        clap_mangen::generate_to(program, &man).with_context(|| cannot_write(&man))?;
    }
    for (shell, folder_name) in [(Shell::Bash, "bash"), (Shell::Fish, "fish"), (Shell::Zsh, "zsh")] {
        let completions = create(folder.join(folder_name))?;
        for mut program in programs() {
            let name = program.get_name().to_owned();
            clap_complete::generate_to(shell, &mut program, name, &completions)
                .with_context(|| cannot_write(&completions))?;
        }
    }
    Ok(())
}

fn create(folder: PathBuf) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(&folder).with_context(|| cannot_write(&folder))?;
    Ok(folder)
}

fn cannot_write(folder: &Path) -> String {
    format!("the folder {} can't be written", folder.display())
}
