//! How far the rows of the tables have been refreshed.

use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde::Serialize;
use shared::database::{SqlError, StatementClient};
use tokio_postgres::Row;

use crate::{
    metrics,
    quota::{RowCounts, full_cycle_rounds},
    settings::AgingSettings,
};

/// How far the rows of one table have been refreshed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Freshness {
    pub name: String,
    /// Counted, not estimated.
    pub rows: i64,
    pub never_cached: i64,
    /// The earliest `last_cached_at`.
    pub oldest_cached_at: Option<DateTime<Utc>>,
}

const QUERY: &str = "\
    SELECT 'users' AS name, count(*) AS rows, count(*) - count(last_cached_at) AS never_cached, \
        min(last_cached_at) AS oldest_cached_at FROM users \
    UNION ALL \
    SELECT 'products', count(*), count(*) - count(last_cached_at), min(last_cached_at) FROM products";

/// Returns the freshness of users and of products, in this order. Reads both tables from end to end.
///
/// # Errors
/// When the database fails, or the query takes longer than `timeout`.
pub async fn freshness(database: &mut StatementClient, timeout: Duration) -> Result<Vec<Freshness>, SqlError> {
    let limit = format!("SET LOCAL statement_timeout = {}", timeout.as_millis());
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
    /// Time until every row has been in a cache of `size` rows, if no rows are added.
    pub fn full_cycle(&self, size: usize, interval: Duration) -> Duration {
        let count = |rows: i64| usize::try_from(rows).unwrap_or(0);
        let rows = RowCounts { new: count(self.never_cached), aged: count(self.rows - self.never_cached) };
        let rounds = full_cycle_rounds(rows, size);
        interval.saturating_mul(u32::try_from(rounds).unwrap_or(u32::MAX))
    }
}

/// Timeout of the query. Redis is not checked meanwhile.
const QUERY_TIMEOUT: Duration = Duration::from_secs(1);
/// The query takes at most 1 / `MIN_PAUSE_FACTOR` of the time.
const MIN_PAUSE_FACTOR: u32 = 100;

/// Exports the freshness of both tables as metrics.
pub struct FreshnessExporter {
    aging: AgingSettings,
    next: Instant,
}

impl FreshnessExporter {
    pub fn new(aging: AgingSettings) -> Self {
        Self { aging, next: Instant::now() }
    }

    pub fn is_due(&self) -> bool {
        self.next <= Instant::now()
    }

    /// # Errors
    /// When the database fails or does not answer in time; a transaction may still be open then.
    pub async fn export(&mut self, database: &mut StatementClient) -> anyhow::Result<()> {
        let started = Instant::now();
        let counted = tokio::time::timeout(QUERY_TIMEOUT * 2, freshness(database, QUERY_TIMEOUT)).await;
        self.next = Instant::now() + started.elapsed() * MIN_PAUSE_FACTOR;
        let tables = counted.context("no answer from the database in time")??;
        tables.iter().for_each(|table| self.set_gauges(table));
        Ok(())
    }

    fn set_gauges(&self, table: &Freshness) {
        let full_cycle = table.full_cycle(self.aging.size as usize, self.aging.interval);
        let gauge = |name: &'static str| ::metrics::gauge!(name, "table" => table.name.clone());
        gauge(metrics::TABLE_ROWS).set(table.rows as f64);
        gauge(metrics::NEVER_CACHED).set(table.never_cached as f64);
        gauge(metrics::FULL_CYCLE).set(full_cycle.as_secs_f64());
        if let Some(oldest) = table.oldest_cached_at {
            gauge(metrics::OLDEST).set(oldest.timestamp_millis() as f64 / 1_000.0);
        }
    }
}
