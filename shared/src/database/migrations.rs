//! The schema's versions, embedded in the binary.

use std::time::Duration;

use anyhow::Context;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

use super::{DatabaseSettings, connect};

const QUERY_TIMEOUT: Duration = Duration::from_secs(8);

/// Every migration, oldest first.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

const TABLES: &str = "SELECT bool_and(to_regclass(name) IS NOT NULL) FROM UNNEST(ARRAY['users', 'products', 'orders', 'cache_rounds']) name";

/// Makes sure that the tables are there, so that a program says what is missing instead of failing at its first query.
///
/// # Errors
/// When they are not, and the message says what to run; or when the database does not answer.
pub async fn require_tables(database: &DatabaseSettings) -> anyhow::Result<()> {
    let client = connect(database).await?;
    // In one go and without a name, which a pooler can't come between.
    let looking = tokio::time::timeout(QUERY_TIMEOUT, client.query_typed(TABLES, &[])).await;
    let rows = looking.context("no answer from the database")?.context("the tables can't be looked up")?;
    anyhow::ensure!(
        rows.first().is_some_and(|row| row.get(0)),
        "database {database} does not have all of our tables: run `orderdb migrate up` first"
    );
    Ok(())
}
