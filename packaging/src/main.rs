//! Writes the manual pages and the shell completions of all programs, for deploy/package.

use std::path::PathBuf;

use clap::Parser;

/// Writes the manual pages and the shell completions of all programs of orderflow.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Folder to write to; the folders man, bash, fish and zsh are created in it.
    folder: PathBuf,
}

fn main() -> anyhow::Result<()> {
    packaging::write_files(&Arguments::parse().folder)
}
