//! The schema's versions, embedded in the binary.

use anyhow::Context;
use diesel::OptionalExtension;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

/// Every migration, oldest first.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

#[derive(diesel::QueryableByName)]
struct Present {
    #[diesel(sql_type = diesel::sql_types::Bool)]
    present: bool,
}

/// Makes sure that the tables are there, so that a program says what is missing instead of failing at its first query.
///
/// # Errors
/// When they are not; the message says what to run.
pub async fn require_tables(
    connection: &mut AsyncPgConnection,
    database: &super::DatabaseSettings,
) -> anyhow::Result<()> {
    let query = "SELECT bool_and(to_regclass(name) IS NOT NULL) AS present FROM UNNEST(ARRAY['users', 'products', 'orders', 'cache_rounds']) name";
    let found: Option<Present> =
        diesel::sql_query(query).get_result(connection).await.optional().context("the tables can't be looked up")?;
    anyhow::ensure!(
        found.is_some_and(|found| found.present),
        "database {database} does not have all of our tables: run `orderdb migrate up` first"
    );
    Ok(())
}
