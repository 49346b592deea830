//! `orderdb status`: one database in detail. Nothing is changed, and no large table is read from end to end.

mod cache;
mod indexes;
mod orders;
mod part;
mod read;
mod replication;
mod session;
mod sessions;
mod tables;
mod text;
mod times;

use serde::Serialize;
use shared::{
    database::DatabaseSettings,
    program::{Outcome, OutputFormat},
};

use self::read::{Status, read};
use crate::{
    databases::{Database, Databases, worst},
    settings::StatusSettings,
};

/// A database that has no status.
#[derive(Debug, Serialize)]
struct NoStatus {
    name: String,
    error: String,
}

/// Prints the status. The outcome is invalid when a part of it could not be read.
///
/// # Errors
/// When the database can't be reached.
pub async fn status(settings: &StatusSettings, databases: Databases) -> anyhow::Result<Outcome> {
    match (databases, settings.output) {
        (Databases::One(database), OutputFormat::Json) => {
            let status = read(&database.name, &database.settings?, settings).await?;
            println!("{}", serde_json::to_string_pretty(&status)?);
            Ok(status.outcome())
        }
        (Databases::All(all), OutputFormat::Json) => print_all(settings, all).await,
        (databases, OutputFormat::Text) => {
            let print = async |name: &str, database: &DatabaseSettings| {
                let status = read(name, database, settings).await?;
                println!("{}", text::text(&status));
                Ok(status.outcome())
            };
            databases.each(print).await
        }
    }
}

/// One array with all databases.
async fn print_all(settings: &StatusSettings, all: Vec<Database>) -> anyhow::Result<Outcome> {
    let (mut printed, mut outcomes) = (Vec::new(), Vec::new());
    for Database { name, settings: database } in all {
        let status = match database {
            Ok(database) => read(&name, &database, settings).await,
            Err(error) => Err(error),
        };
        outcomes.push((name.clone(), status.as_ref().ok().map(Status::outcome)));
        printed.push(match status {
            Ok(status) => serde_json::to_value(status)?,
            Err(error) => serde_json::to_value(NoStatus { name, error: format!("{error:#}") })?,
        });
    }
    println!("{}", serde_json::to_string_pretty(&printed)?);
    worst(&outcomes)
}
