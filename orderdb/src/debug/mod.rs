//! `orderdb debug`: the settings and the versions, for a report of a problem. No secret is printed.

mod platform;
mod setting;
mod versions;

use std::path::PathBuf;

use serde::Serialize;
use shared::{
    database::DatabaseArgs,
    env_file::EnvFile,
    program::{Outcome, OutputFormat},
    report::table,
};

use self::{
    platform::Platform,
    setting::{Setting, settings, variables, without_hidden},
    versions::{Versions, versions},
};
use crate::{databases::Database, settings::DebugSettings};

/// What `--output json` prints.
#[derive(Debug, Serialize)]
struct Debug {
    platform: Platform,
    /// The file that was read in place of variables; `None`: there is none.
    env_file: Option<PathBuf>,
    versions: Versions,
    settings: Vec<Setting>,
}

/// Prints what is set and what is running. The outcome is valid also when a service can't be reached.
///
/// # Errors
/// When the result can't be printed.
pub async fn debug(
    command: DebugSettings,
    args: &DatabaseArgs,
    database: Database,
    program: clap::Command,
) -> anyhow::Result<Outcome> {
    let output = command.output;
    let mut all = settings(program)?;
    all.extend(variables(args.variables_of_named()));
    let debug = Debug {
        platform: Platform::this(),
        env_file: EnvFile::loaded().map(|file| file.path().to_owned()),
        versions: versions(command, database, |message| without_hidden(message, &all)).await,
        settings: all,
    };
    match output {
        OutputFormat::Json => println!("{}", serde_json::to_string_pretty(&debug)?),
        OutputFormat::Text => println!("{}", text(&debug)),
    }
    Ok(Outcome::Valid)
}

fn text(debug: &Debug) -> String {
    let mut about = table(["what", "value"]);
    for (what, value) in debug.versions.rows().into_iter().chain(debug.platform.rows()) {
        about.add_row([what, &value]);
    }
    let env_file = debug.env_file.as_ref().map_or_else(|| "none".to_owned(), |path| path.display().to_string());
    about.add_row([".env", &env_file]);
    let mut settings = table(["setting", "value", "from"]);
    for Setting { name, value, source } in &debug.settings {
        settings.add_row([name.as_str(), &value.to_string(), &source.to_string()]);
    }
    format!("{about}\n{settings}")
}
