use anyhow::{bail, ensure};
use shared::{confirm::YesDestroy, program::Outcome};

use super::{
    count_down::count_down,
    history,
    losses::losses,
    source::{Migration, Migrations, Mode},
    step,
};
use crate::{session::Session, settings::Waiting};

/// Reverts the last `count` migrations, the newest first.
///
/// # Errors
/// When fewer are applied, when what they destroy is not confirmed, or when one of them fails.
pub async fn down(
    session: &Session,
    migrations: &Migrations,
    count: usize,
    yes: &YesDestroy,
    waiting: Waiting,
) -> anyhow::Result<Outcome> {
    let last = last_applied(session, migrations, count).await?;
    confirm(session, &last, yes, waiting).await?;
    for migration in last {
        step::revert(session, migration).await?;
        println!("reverted {migration}");
    }
    Ok(Outcome::Valid)
}

/// Reverts the last migration and applies it again, in one transaction.
///
/// # Errors
/// As [`down`]; or when it can't be applied again: then it is not reverted.
pub async fn redo(
    session: &Session,
    migrations: &Migrations,
    yes: &YesDestroy,
    waiting: Waiting,
) -> anyhow::Result<Outcome> {
    let last = last_applied(session, migrations, 1).await?;
    confirm(session, &last, yes, waiting).await?;
    let Session { client, .. } = session;
    for migration in last {
        match migration.mode {
            Mode::Transaction => {
                let redone = session.transaction(async {
                    step::revert_in_transaction(client, migration).await?;
                    step::apply_in_transaction(client, migration).await
                });
                redone.await.map_err(|error| {
                    error.context(format!("migration {migration} can't be redone, and is left as it was"))
                })?;
            }
            Mode::Alone => {
                step::revert(session, migration).await?;
                step::apply(session, migration).await?;
            }
        }
        println!("reverted and applied {migration}");
    }
    Ok(Outcome::Valid)
}

async fn last_applied<'a>(
    session: &Session,
    migrations: &'a Migrations,
    count: usize,
) -> anyhow::Result<Vec<&'a Migration>> {
    let applied = session.run(async { Ok(history::applied(&session.client).await?) }).await?;
    migrations.ensure_known(&applied)?;
    let mut last = migrations.applied(&applied);
    let database = &session.database;
    ensure!(!last.is_empty(), "nothing to revert: no migration is applied to database {database}");
    ensure!(
        last.len() >= count,
        "database {database} has fewer applied migrations than {count}: {}. Nothing was changed",
        last.len()
    );
    last.truncate(count);
    if let Some(fixed) = last.iter().find(|migration| migration.down.is_none()) {
        bail!("{fixed} has no down.sql: it can't be reverted");
    }
    Ok(last)
}

async fn confirm(session: &Session, reverted: &[&Migration], yes: &YesDestroy, waiting: Waiting) -> anyhow::Result<()> {
    match losses(session, reverted).await? {
        Some(losses) => yes.confirm(&session.database, &losses, &session.stop).await,
        None => count_down(session, waiting).await,
    }
}
