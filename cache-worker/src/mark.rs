//! Writes and resets `last_cached_at`.

use chrono::{DateTime, Utc};
use diesel::{
    sql_query,
    sql_types::{Array, Text, Timestamptz},
};
use shared::database::{SqlError, StatementClient};

use crate::cached_row::CachedRow;

/// Marks `rows` as cached at `at`. Returns how many rows were marked.
///
/// # Errors
/// When the database fails.
pub async fn mark_cached<Row: CachedRow>(
    database: &mut StatementClient,
    rows: &[Row],
    at: DateTime<Utc>,
) -> Result<u64, SqlError> {
    let ids: Vec<&str> = rows.iter().map(Row::id).collect();
    let query = format!("UPDATE {} SET last_cached_at = $1 WHERE {} = ANY($2)", Row::TABLE, Row::ID_COLUMN);
    database.execute(&sql_query(query).bind::<Timestamptz, _>(at).bind::<Array<Text>, _>(ids)).await
}

/// Marks every row as never cached. Returns how many rows had been cached.
///
/// # Errors
/// When the database fails.
pub async fn mark_never_cached<Row: CachedRow>(database: &mut StatementClient) -> Result<u64, SqlError> {
    let query = format!("UPDATE {} SET last_cached_at = NULL WHERE last_cached_at IS NOT NULL", Row::TABLE);
    database.execute(&sql_query(query)).await
}
