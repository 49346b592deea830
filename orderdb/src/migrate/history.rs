//! The table in which Diesel keeps the versions that are applied. `diesel migration` reads and writes it, too.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDateTime;
use diesel::migration::CREATE_MIGRATIONS_TABLE;
use shared::database::SqlError;
use tokio_postgres::{Client, types::Type};

const EXISTS: &str = "SELECT to_regclass('__diesel_schema_migrations') IS NOT NULL";

/// The versions that are applied, and when, in UTC.
///
/// # Errors
/// When the table can't be read.
pub async fn applied_at(client: &Client) -> Result<BTreeMap<String, NaiveDateTime>, SqlError> {
    if !client.query_typed_one(EXISTS, &[]).await?.get::<_, bool>(0) {
        return Ok(BTreeMap::new());
    }
    let rows = client.query_typed("SELECT version, run_on FROM __diesel_schema_migrations", &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// The versions that are applied.
///
/// # Errors
/// When the table can't be read.
pub async fn applied(client: &Client) -> Result<BTreeSet<String>, SqlError> {
    Ok(applied_at(client).await?.into_keys().collect())
}

/// Creates the table if it is missing.
///
/// # Errors
/// When this role may not create tables.
pub async fn create(client: &Client) -> Result<(), SqlError> {
    if !client.query_typed_one(EXISTS, &[]).await?.get::<_, bool>(0) {
        client.batch_execute(CREATE_MIGRATIONS_TABLE).await?;
    }
    Ok(())
}

/// Adds a version.
///
/// # Errors
/// When the server refuses it.
pub async fn add(client: &Client, version: &str) -> Result<(), SqlError> {
    let insert = "INSERT INTO __diesel_schema_migrations (version) VALUES ($1)";
    client.execute_typed(insert, &[(&version, Type::TEXT)]).await?;
    Ok(())
}

/// Removes a version.
///
/// # Errors
/// When the server refuses it.
pub async fn remove(client: &Client, version: &str) -> Result<(), SqlError> {
    let delete = "DELETE FROM __diesel_schema_migrations WHERE version = $1";
    client.execute_typed(delete, &[(&version, Type::TEXT)]).await?;
    Ok(())
}
