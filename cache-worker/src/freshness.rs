//! How far the tables have come round.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::{QueryResult, QueryableByName, sql_types};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use serde::Serialize;

use crate::{metrics, select::full_turn};

/// How far one table has come round.
#[derive(Clone, Debug, PartialEq, Serialize, QueryableByName)]
pub struct Freshness {
    /// Its name.
    #[diesel(sql_type = sql_types::Text)]
    pub name: String,
    /// Rows, counted and not estimated.
    #[diesel(sql_type = sql_types::BigInt)]
    pub rows: i64,
    /// Rows that were never cached.
    #[diesel(sql_type = sql_types::BigInt)]
    pub never_cached: i64,
    /// When the row was cached that waits the longest for its next turn.
    #[diesel(sql_type = sql_types::Nullable<sql_types::Timestamptz>)]
    pub oldest_cached_at: Option<DateTime<Utc>>,
}

const QUERY: &str = "SELECT 'users' AS name, count(*) AS rows, count(*) - count(last_cached_at) AS never_cached, min(last_cached_at) AS oldest_cached_at FROM users \
     UNION ALL SELECT 'products', count(*), count(*) - count(last_cached_at), min(last_cached_at) FROM products";

/// Of the users, then of the products. Reads both tables from end to end, for as long as `patience` at most.
///
/// # Errors
/// When the database fails, or takes longer.
pub async fn freshness(connection: &mut AsyncPgConnection, patience: Duration) -> QueryResult<Vec<Freshness>> {
    let limit = format!("SET LOCAL statement_timeout = {}", patience.as_millis());
    connection
        .transaction(async |connection| {
            connection.batch_execute(&limit).await?;
            diesel::sql_query(QUERY).load(connection).await
        })
        .await
}

impl Freshness {
    /// How long it takes until every row has been in a cache of `size`, when no others come.
    pub fn full_turn(&self, size: usize, interval: Duration) -> Duration {
        let count = |rows: i64| usize::try_from(rows).unwrap_or(0);
        let rounds = full_turn(count(self.never_cached), count(self.rows - self.never_cached), size);
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
