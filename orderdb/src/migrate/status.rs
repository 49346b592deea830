use chrono::{DateTime, Utc};
use serde::Serialize;
use shared::{
    program::{Outcome, OutputFormat},
    report::table,
};

use super::{history, source::Migrations};
use crate::session::Session;

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Applied,
    Missing,
    /// Applied, and not among the migrations.
    Unknown,
}

#[derive(Serialize)]
struct Row {
    /// That of its folder; the version of one that is unknown.
    name: String,
    state: State,
    applied_at: Option<DateTime<Utc>>,
}

#[derive(Serialize)]
struct Status {
    database: String,
    migrations: Vec<Row>,
}

/// Lists the migrations. The outcome is invalid when one is missing, or one is applied that is not among `migrations`.
///
/// # Errors
/// When the database can't be read.
pub async fn status(session: &Session, migrations: &Migrations, output: OutputFormat) -> anyhow::Result<Outcome> {
    let times = session.run(async { Ok(history::applied_at(&session.client).await?) }).await?;
    let time = |version: &str| times.get(version).map(chrono::NaiveDateTime::and_utc);
    let known = migrations.all().iter().map(|migration| {
        let applied_at = time(&migration.version);
        let state = if applied_at.is_some() { State::Applied } else { State::Missing };
        Row { name: migration.name.clone(), state, applied_at }
    });
    let applied = times.keys().cloned().collect();
    let unknown = migrations.unknown(&applied).into_iter().map(|version| Row {
        name: version.to_owned(),
        state: State::Unknown,
        applied_at: time(version),
    });
    let rows: Vec<Row> = known.chain(unknown).collect();
    let is_complete = rows.iter().all(|row| row.state == State::Applied);
    match output {
        OutputFormat::Text => print(&rows),
        OutputFormat::Json => {
            let status = Status { database: session.database.to_string(), migrations: rows };
            println!("{}", serde_json::to_string_pretty(&status)?);
        }
    }
    Ok(if is_complete { Outcome::Valid } else { Outcome::Invalid })
}

fn print(rows: &[Row]) {
    let mut printed = table(["migration", "state", "time, UTC"]);
    for Row { name, state, applied_at } in rows {
        let state = match state {
            State::Applied => "applied",
            State::Missing => "missing",
            State::Unknown => "applied, unknown",
        };
        let time = applied_at.map(|time| time.format("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default();
        printed.add_row([name.as_str(), state, &time]);
    }
    println!("{printed}");
}
