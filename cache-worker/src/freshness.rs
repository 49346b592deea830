//! How far the tables have come round.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use shared::database::{SqlError, StatementClient};
use tokio_postgres::Row;

use crate::{
    metrics,
    quota::{RowCounts, full_cycle_rounds},
};

/// How far one table has come round.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Freshness {
    /// Its name.
    pub name: String,
    /// Rows, counted and not estimated.
    pub rows: i64,
    /// Rows that were never cached.
    pub never_cached: i64,
    /// When the row was cached that waits the longest for its next turn.
    pub oldest_cached_at: Option<DateTime<Utc>>,
}

const QUERY: &str = "SELECT 'users' AS name, count(*) AS rows, count(*) - count(last_cached_at) AS never_cached, min(last_cached_at) AS oldest_cached_at FROM users \
     UNION ALL SELECT 'products', count(*), count(*) - count(last_cached_at), min(last_cached_at) FROM products";

/// Of the users, then of the products. Reads both tables from end to end, for as long as `patience` at most.
///
/// # Errors
/// When the database fails, or takes longer.
pub async fn freshness(database: &mut StatementClient, patience: Duration) -> Result<Vec<Freshness>, SqlError> {
    let limit = format!("SET LOCAL statement_timeout = {}", patience.as_millis());
    let rows = database
        .transaction(async |database| {
            database.batch(&limit).await?;
            database.query(&diesel::sql_query(QUERY)).await
        })
        .await?;
    let freshness = |row: &Row| Freshness {
        name: row.get("name"),
        rows: row.get("rows"),
        never_cached: row.get("never_cached"),
        oldest_cached_at: row.get("oldest_cached_at"),
    };
    Ok(rows.iter().map(freshness).collect())
}

impl Freshness {
    /// How long it takes until every row has been in a cache of `size`, when no others come.
    pub fn full_turn(&self, size: usize, interval: Duration) -> Duration {
        let count = |rows: i64| usize::try_from(rows).unwrap_or(0);
        let rows = RowCounts { new: count(self.never_cached), aged: count(self.rows - self.never_cached) };
        let rounds = full_cycle_rounds(rows, size);
        interval.saturating_mul(u32::try_from(rounds).unwrap_or(u32::MAX))
    }

    /// Exports it.
    pub fn record(&self, size: usize, interval: Duration) {
        let gauge = |name: &'static str| ::metrics::gauge!(name, "table" => self.name.clone());
        gauge(metrics::TABLE_ROWS).set(self.rows as f64);
        gauge(metrics::NEVER_CACHED).set(self.never_cached as f64);
        gauge(metrics::FULL_TURN).set(self.full_turn(size, interval).as_secs_f64());
        if let Some(oldest) = self.oldest_cached_at {
            gauge(metrics::OLDEST).set(oldest.timestamp_millis() as f64 / 1_000.0);
        }
    }
}
