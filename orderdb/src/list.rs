//! `orderdb list`: each database that is set, whether it can be reached, and what it is.

use std::time::Duration;

use anyhow::Context;
use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use futures_util::future::join_all;
use indicatif::HumanBytes;
use serde::Serialize;
use shared::{
    database::{DatabaseSettings, connect},
    program::{Outcome, StandardOutput},
    report::align_right,
};
use tokio::time::error::Elapsed;

use crate::{
    databases::Database,
    latency::latency,
    migration_counts::MigrationCounts,
    server::{Role, Server},
    settings::{ListSettings, RowFormat},
};

/// Timeout for one database, from connecting to the last answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Columns of the state, which may be a long error.
const MAX_STATE_WIDTH: u16 = 40;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Reachable,
    Failed,
}

/// A row of the list. The names of the fields are those of the columns of CSV.
#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    host: Option<String>,
    port: Option<u16>,
    database: Option<String>,
    state: State,
    error: Option<String>,
    version: Option<String>,
    role: Option<Role>,
    size_bytes: Option<i64>,
    latency_ms: Option<f64>,
    migrations: Option<usize>,
    migrations_missing: Option<usize>,
    migrations_unknown: Option<usize>,
}

/// Asks all databases at the same time, and prints a row for each. The outcome is invalid when one can't be reached.
///
/// # Errors
/// When the list can't be printed.
pub async fn list(settings: &ListSettings, databases: Vec<Database>) -> anyhow::Result<Outcome> {
    let rows = join_all(databases.into_iter().map(ask)).await;
    match settings.output {
        RowFormat::Text => println!("{}", text(&rows)),
        RowFormat::Csv => {
            let mut writer = csv::Writer::from_writer(StandardOutput::get());
            rows.iter().try_for_each(|row| writer.serialize(row))?;
            writer.flush()?;
        }
        RowFormat::Json => {
            for row in &rows {
                println!("{}", serde_json::to_string(row)?);
            }
        }
    }
    let all_reachable = rows.iter().all(|row| row.state == State::Reachable);
    Ok(if all_reachable { Outcome::Valid } else { Outcome::Invalid })
}

/// What a server tells.
struct Answers {
    server: Server,
    latency: Duration,
    migrations: MigrationCounts,
}

async fn ask(Database { name, settings }: Database) -> Listed {
    let place = settings.as_ref().ok().map(|settings| (settings.address(), settings.database().to_owned()));
    let (address, database) = place.unzip();
    let (host, port) = address.unzip();
    let answers = match settings {
        Ok(settings) => tokio::time::timeout(TIMEOUT, answers(&settings))
            .await
            .with_context(|| format!("no answer within {}", humantime::format_duration(TIMEOUT)))
            .flatten(),
        Err(error) => Err(error),
    };
    let (state, error, answers) = match answers {
        Ok(answers) => (State::Reachable, None, Some(answers)),
        Err(error) => (State::Failed, Some(short(&error)), None),
    };
    let migrations = answers.as_ref().map(|answers| answers.migrations);
    Listed {
        name,
        host,
        port,
        database,
        state,
        error,
        version: answers.as_ref().map(|answers| answers.server.version.clone()),
        role: answers.as_ref().map(|answers| answers.server.role),
        size_bytes: answers.as_ref().and_then(|answers| answers.server.size_bytes),
        latency_ms: answers.as_ref().map(|answers| (answers.latency.as_secs_f64() * 100_000.0).round() / 100.0),
        migrations: migrations.map(|counts| counts.known),
        migrations_missing: migrations.map(|counts| counts.missing),
        migrations_unknown: migrations.map(|counts| counts.unknown),
    }
}

async fn answers(settings: &DatabaseSettings) -> anyhow::Result<Answers> {
    let client = connect(settings).await?;
    let server = Server::read(&client).await?;
    Ok(Answers { server, latency: latency(&client).await?, migrations: MigrationCounts::read(&client).await? })
}

/// The causes, without the place of the database, which the row has.
fn short(error: &anyhow::Error) -> String {
    let causes: Vec<String> = error.chain().skip(1).map(ToString::to_string).collect();
    match error.downcast_ref::<Elapsed>() {
        Some(_) => "no answer in time".to_owned(),
        None if causes.is_empty() => error.to_string(),
        None => causes.join(": "),
    }
}

fn text(rows: &[Listed]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["name", "database", "state", "version", "role", "size", "latency", "migrations"]);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    if let Some(state) = table.column_mut(2) {
        state.set_constraint(ColumnConstraint::UpperBoundary(Width::Fixed(MAX_STATE_WIDTH)));
    }
    align_right(&mut table, 5..7);
    for row in rows {
        let place = match (&row.database, &row.host, row.port) {
            (Some(database), Some(host), Some(port)) => format!("{database} at {host}:{port}"),
            _ => String::new(),
        };
        let state = row.error.as_ref().map_or_else(|| "reachable".to_owned(), |error| format!("FAILED: {error}"));
        let counts = row.migrations.zip(row.migrations_missing).zip(row.migrations_unknown);
        let counts = counts.map(|((known, missing), unknown)| MigrationCounts { known, missing, unknown });
        table.add_row([
            row.name.clone(),
            place,
            state,
            row.version.clone().unwrap_or_default(),
            row.role.map(|role| role.to_string()).unwrap_or_default(),
            row.size_bytes.map(|size| HumanBytes(size.unsigned_abs()).to_string()).unwrap_or_default(),
            row.latency_ms.map(|latency| format!("{latency:.2} ms")).unwrap_or_default(),
            counts.map(MigrationCounts::text).unwrap_or_default(),
        ]);
    }
    table.to_string()
}
