//! Applies and reverts one migration.

use anyhow::{Context, anyhow};
use tokio_postgres::{
    Client, Error,
    error::{DbError, ErrorPosition, SqlState},
    types::Type,
};

use super::{
    history,
    source::{Migration, Mode},
};
use crate::{execute::refusal::place, session::Session};

/// PL/pgSQL refuses COMMIT and the like in a statement that it executes in an open transaction, so a migration can't end
/// the transaction that it runs in.
const EXECUTE: &str = "DO $$ BEGIN EXECUTE current_setting('orderdb.migration'); END $$";

/// Applies `migration` in a transaction of its own.
///
/// # Errors
/// When the server refuses it, the deadline passes, or the program is told to stop. The message says what is left.
pub async fn apply(session: &Session, migration: &Migration) -> anyhow::Result<()> {
    let Session { client, .. } = session;
    let applied = match migration.mode {
        Mode::Transaction => session.transaction(apply_in_transaction(client, migration)).await,
        Mode::Alone => {
            let alone = async {
                client.batch_execute(&migration.up).await.map_err(|error| refusal(&error, &migration.up))?;
                Ok(history::add(client, &migration.version).await?)
            };
            session.run(alone).await
        }
    };
    let left = match migration.mode {
        Mode::Transaction => "Nothing of it was applied",
        Mode::Alone => "It does not run in a transaction: a part of it may be applied",
    };
    applied.map_err(|error| anyhow!("migration {migration} can't be applied: {error:#}. {left}"))
}

/// Reverts `migration` in a transaction of its own.
///
/// # Errors
/// As [`apply`], and when it has no `down.sql`.
pub async fn revert(session: &Session, migration: &Migration) -> anyhow::Result<()> {
    let Session { client, .. } = session;
    let reverted = match migration.mode {
        Mode::Transaction => session.transaction(revert_in_transaction(client, migration)).await,
        Mode::Alone => {
            let alone = async {
                let down = down(migration)?;
                client.batch_execute(down).await.map_err(|error| refusal(&error, down))?;
                Ok(history::remove(client, &migration.version).await?)
            };
            session.run(alone).await
        }
    };
    let left = match migration.mode {
        Mode::Transaction => "Nothing of it was reverted",
        Mode::Alone => "It does not run in a transaction: a part of it may be reverted",
    };
    reverted.map_err(|error| anyhow!("migration {migration} can't be reverted: {error:#}. {left}"))
}

/// Applies `migration` in the transaction that is open.
///
/// # Errors
/// When the server refuses it.
pub async fn apply_in_transaction(client: &Client, migration: &Migration) -> anyhow::Result<()> {
    execute(client, &migration.up).await?;
    Ok(history::add(client, &migration.version).await?)
}

/// Reverts `migration` in the transaction that is open.
///
/// # Errors
/// When the server refuses it, or there is no `down.sql`.
pub async fn revert_in_transaction(client: &Client, migration: &Migration) -> anyhow::Result<()> {
    execute(client, down(migration)?).await?;
    Ok(history::remove(client, &migration.version).await?)
}

fn down(migration: &Migration) -> anyhow::Result<&str> {
    migration.down.as_deref().context("it has no down.sql")
}

/// Executes the statements of `sql` in the transaction that is open, and never ends it.
///
/// # Errors
/// The server's message, with the SQLSTATE and the place.
pub async fn execute(client: &Client, sql: &str) -> anyhow::Result<()> {
    let store = "SELECT set_config('orderdb.migration', $1, true)";
    client.query_typed(store, &[(&sql, Type::TEXT)]).await?;
    client.batch_execute(EXECUTE).await.map_err(|error| refusal(&error, sql))
}

fn refusal(error: &Error, sql: &str) -> anyhow::Error {
    let Some(refusal) = error.as_db_error() else { return anyhow!("{error}") };
    let mut message = format!("{} (SQLSTATE {})", refusal.message(), refusal.code().code());
    if let Some(position) = position(refusal, sql) {
        message.push_str(&place(sql, position));
    }
    for (name, text) in [("detail", refusal.detail()), ("hint", refusal.hint())] {
        if let Some(text) = text {
            message.push_str(&format!("; {name}: {text}"));
        }
    }
    if *refusal.code() == SqlState::FEATURE_NOT_SUPPORTED && refusal.message().contains("transaction commands") {
        message
            .push_str("; a migration runs in a transaction, unless its metadata.toml has run_in_transaction = false");
    }
    anyhow!(message)
}

/// The place in `sql`, not that in a function which it calls.
fn position(refusal: &DbError, sql: &str) -> Option<u32> {
    match refusal.position()? {
        ErrorPosition::Original(position) => Some(*position),
        ErrorPosition::Internal { position, query } => (query == sql).then_some(*position),
    }
}
