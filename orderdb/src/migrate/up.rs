use anyhow::anyhow;
use shared::program::Outcome;

use super::{count_down::count_down, history, source::Migrations, step};
use crate::{session::Session, settings::Waiting};

/// Applies every migration that is missing, up to that which `to` names.
///
/// # Errors
/// When a migration fails, or the schema has migrations that are not among `migrations`.
pub async fn up(
    session: &Session,
    migrations: &Migrations,
    to: Option<&str>,
    waiting: Waiting,
) -> anyhow::Result<Outcome> {
    let applied = session.run(async { Ok(history::applied(&session.client).await?) }).await?;
    migrations.ensure_known(&applied)?;
    let missing = migrations.missing(&applied, to)?;
    if missing.is_empty() {
        match to {
            None => println!("nothing to do: the schema is up to date"),
            Some(to) => println!("nothing to do: all migrations up to {to} are applied"),
        }
        return Ok(Outcome::Valid);
    }
    count_down(session, waiting).await?;
    session.run(async { Ok(history::create(&session.client).await?) }).await?;
    for (done, migration) in missing.iter().enumerate() {
        step::apply(session, migration).await.map_err(|error| match done {
            0 => error,
            done => anyhow!("{error}; before it, {done} of {} were applied", missing.len()),
        })?;
        println!("applied {migration}");
    }
    Ok(Outcome::Valid)
}
