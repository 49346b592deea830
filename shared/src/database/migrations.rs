//! The migrations of the schema, embedded in the binary.

use std::time::Duration;

use anyhow::Context;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

use super::{connect::connect, settings::DatabaseSettings};

/// Timeout of the query for the tables.
const QUERY_TIMEOUT: Duration = Duration::from_secs(8);

/// All migrations, oldest first.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// Returns true when all tables exist.
const TABLES_EXIST: &str = "SELECT bool_and(to_regclass(name) IS NOT NULL) \
     FROM UNNEST(ARRAY['users', 'products', 'orders', 'order_events', 'cache_rounds']) name";

/// Checks that the tables of the schema exist, so that a program can fail at its start and say which command creates
/// them.
///
/// # Errors
/// When a table is missing, when the database can't be reached, or when it does not answer within 8 s.
pub async fn require_tables(database: &DatabaseSettings) -> anyhow::Result<()> {
    let client = connect(database).await?;
    // One unnamed statement in one round trip: it works behind a pooler in transaction mode.
    let query = tokio::time::timeout(QUERY_TIMEOUT, client.query_typed(TABLES_EXIST, &[])).await;
    let rows = query
        .with_context(|| format!("no answer from database {database} within {QUERY_TIMEOUT:?}"))?
        .with_context(|| format!("the tables of database {database} can't be looked up"))?;
    anyhow::ensure!(
        rows.first().is_some_and(|row| row.get(0)),
        "tables are missing in database {database}: run `orderdb migrate up` first"
    );
    Ok(())
}
