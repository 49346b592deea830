//! Selects the rows of a table that the next round or refill puts into the cache.

use std::collections::HashSet;

use diesel::{
    pg::Pg,
    query_builder::QueryFragment,
    sql_query,
    sql_types::{Array, BigInt, Text},
};
use shared::database::{SqlError, StatementClient};

use crate::{
    cached_row::CachedRow,
    quota::{RowCounts, quota},
};

/// Locked rows of one table.
#[derive(Debug)]
pub struct Selection<Row> {
    /// Ordered by id.
    pub rows: Vec<Row>,
    pub counts: RowCounts,
}

/// Ids of the rows that were never cached, oldest first.
pub fn never_cached<Row: CachedRow>(limit: usize) -> impl QueryFragment<Pg> + Send + Sync {
    let (table, id) = (Row::TABLE, Row::ID_COLUMN);
    let query = format!("SELECT {id} FROM {table} WHERE last_cached_at IS NULL ORDER BY created_at, {id} LIMIT $1");
    sql_query(query).bind::<BigInt, _>(limit as i64)
}

/// Ids of the rows that were cached longest ago.
pub fn least_recently_cached<Row: CachedRow>(limit: usize) -> impl QueryFragment<Pg> + Send + Sync {
    let (table, id) = (Row::TABLE, Row::ID_COLUMN);
    let query =
        format!("SELECT {id} FROM {table} WHERE last_cached_at IS NOT NULL ORDER BY last_cached_at, {id} LIMIT $1");
    sql_query(query).bind::<BigInt, _>(limit as i64)
}

/// Ids of the rows that were cached last.
pub fn most_recently_cached<Row: CachedRow>(limit: usize) -> impl QueryFragment<Pg> + Send + Sync {
    let (table, id) = (Row::TABLE, Row::ID_COLUMN);
    let query = format!(
        "SELECT {id} FROM {table} WHERE last_cached_at IS NOT NULL ORDER BY last_cached_at DESC, {id} DESC LIMIT $1"
    );
    sql_query(query).bind::<BigInt, _>(limit as i64)
}

/// Selects and locks the rows that the next round puts into a cache of `size` rows. The lock is `FOR NO KEY UPDATE`, so
/// that orders that refer to these rows can be inserted meanwhile. Rows are locked in the order of their ids, so that
/// two transactions never deadlock.
///
/// # Errors
/// When the database fails.
pub async fn select_due<Row: CachedRow>(
    database: &mut StatementClient,
    size: usize,
) -> Result<Selection<Row>, SqlError> {
    let mut ids = fetch_ids(database, &never_cached::<Row>(size)).await?;
    let aged = fetch_ids(database, &least_recently_cached::<Row>(size)).await?;
    let quota = quota(RowCounts { new: ids.len(), aged: aged.len() }, size);
    ids.truncate(quota.new);
    let never_cached: HashSet<String> = ids.iter().cloned().collect();
    ids.extend(aged.into_iter().take(quota.aged));
    let rows = fetch_rows::<Row>(database, ids).await?;
    // A row that was deleted before it could be locked is not among them.
    let new = rows.iter().filter(|row| never_cached.contains(row.id())).count();
    let counts = RowCounts { new, aged: rows.len() - new };
    Ok(Selection { rows, counts })
}

/// Selects and locks, as [`select_due`], the rows that were cached last, with their present values. An update of one of
/// them waits for the end of the refill, which would write the old row after the update has invalidated it.
///
/// # Errors
/// When the database fails.
pub async fn select_last_cached<Row: CachedRow>(
    database: &mut StatementClient,
    size: usize,
) -> Result<Vec<Row>, SqlError> {
    let ids = fetch_ids(database, &most_recently_cached::<Row>(size)).await?;
    fetch_rows(database, ids).await
}

async fn fetch_ids(
    database: &mut StatementClient,
    query: &(impl QueryFragment<Pg> + Sync),
) -> Result<Vec<String>, SqlError> {
    Ok(database.query(query).await?.iter().map(|row| row.get(0)).collect())
}

async fn fetch_rows<Row: CachedRow>(database: &mut StatementClient, ids: Vec<String>) -> Result<Vec<Row>, SqlError> {
    let (columns, table, id) = (Row::COLUMNS, Row::TABLE, Row::ID_COLUMN);
    let query = format!("SELECT {columns} FROM {table} WHERE {id} = ANY($1) ORDER BY {id} FOR NO KEY UPDATE");
    let rows = database.query(&sql_query(query).bind::<Array<Text>, _>(ids)).await?;
    Ok(rows.iter().map(Row::from).collect())
}
