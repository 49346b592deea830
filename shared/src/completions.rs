//! The subcommand that prints a program's completions for a shell.

use std::{env, io::Write, path::Path};

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::program::{Outcome, StandardOutput};

/// Which completions are printed.
#[derive(Clone, Copy, Debug, Args)]
pub struct CompletionSettings {
    /// The shell that reads them.
    #[arg(value_enum)]
    shell: Shell,
}

impl CompletionSettings {
    /// Prints the completions of `Program`, for the name that it was started by.
    ///
    /// # Errors
    /// When stdout can't be written.
    pub fn print<Program: CommandFactory>(self) -> anyhow::Result<Outcome> {
        let mut command = Program::command();
        let path = env::args_os().next();
        let started_as = path.as_deref().map(Path::new).and_then(Path::file_name);
        let name = started_as.map_or_else(|| command.get_name().to_owned(), |name| name.to_string_lossy().into_owned());
        // In memory: the library panics when it can't write.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, name, &mut script);
        StandardOutput::get().write_all(&script)?;
        Ok(Outcome::Valid)
    }
}
