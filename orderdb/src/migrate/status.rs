use shared::{program::Outcome, report::table};

use super::{history, source::Migrations};
use crate::session::Session;

/// Lists the migrations. The outcome is invalid when one is missing, or one is applied that is not among `migrations`.
///
/// # Errors
/// When the database can't be read.
pub async fn status(session: &Session, migrations: &Migrations) -> anyhow::Result<Outcome> {
    let applied_at = session.run(async { Ok(history::applied_at(&session.client).await?) }).await?;
    let applied = applied_at.keys().cloned().collect();
    let mut rows = table(["migration", "state", "time, UTC"]);
    for migration in migrations.all() {
        match applied_at.get(&migration.version) {
            Some(time) => rows.add_row([migration.name.clone(), "applied".to_owned(), seconds(time)]),
            None => rows.add_row([migration.name.as_str(), "missing", ""]),
        };
    }
    let unknown = migrations.unknown(&applied);
    for version in &unknown {
        rows.add_row([(*version).to_owned(), "applied, unknown".to_owned(), seconds(&applied_at[*version])]);
    }
    println!("{rows}");
    let is_complete = unknown.is_empty() && migrations.missing(&applied, None)?.is_empty();
    Ok(if is_complete { Outcome::Valid } else { Outcome::Invalid })
}

fn seconds(time: &chrono::NaiveDateTime) -> String {
    time.format("%Y-%m-%d %H:%M:%S").to_string()
}
