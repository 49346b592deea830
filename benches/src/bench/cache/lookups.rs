//! How long it takes to find a random user: in the cache, and straight in the table, in the ways that people do it.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::Serialize;
use shared::{
    cache,
    catalog::User,
    database::connect,
    latency::{Latencies, LatencySummary},
};
use tokio_postgres::Client;

use super::statements::Statements;
use crate::bench::corner::Corner;

/// Rows that a sample of the table is to have, so that it is almost never empty.
const SAMPLED: f64 = 100.0;
/// As many as the producer draws at once.
const BULK: usize = 500;
/// Lookups that warm up whatever has to be.
const WARM_UP: u64 = 3;
const CALL: Duration = Duration::from_secs(10);

/// Looked up one at a time over one connection, each as soon as the one before was there.
#[derive(Clone, Debug, Serialize)]
pub struct Lookups {
    /// `HRANDFIELD key 1 WITHVALUES`, the row with it.
    pub cache: LatencySummary,
    /// The same 500 at a time, as the producer does: of a call, not of a user.
    pub cache_bulk: LatencySummary,
    /// `ORDER BY random() LIMIT 1`: every user as likely as any other.
    pub order_by_random: LatencySummary,
    /// One of a sample by rows: the same, nearly.
    pub sample_of_rows: LatencySummary,
    /// One of a sample by pages: users that were stored together come together.
    pub sample_of_pages: LatencySummary,
    /// Lookups in the table, of all ways together, those that don't count for the latencies included.
    pub straight: u64,
    /// Statements that the database counted meanwhile.
    pub statements: i64,
}

/// Measures each way for so long.
///
/// # Errors
/// When Redis or the database fails, or has no users.
pub async fn look_up(corner: &Corner, statements: &Statements, length: Duration) -> anyhow::Result<Lookups> {
    let sql = connect(&corner.database).await?;
    let row = sql.query_one("SELECT count(*), pg_relation_size('users') / 8192 FROM users", &[]).await?;
    let (users, pages): (i64, i64) = (row.get(0), row.get(1));
    ensure!(users > 0 && pages > 0, "there are no users");
    let share = (100.0 * SAMPLED / users as f64).min(100.0);
    // Of pages it takes whole ones, so several are needed for one to be there.
    let share_of_pages = (100.0 * 10.0 / pages as f64).max(share).min(100.0);
    let any = "SELECT user_id FROM users ORDER BY random() LIMIT 1";
    let of_rows = format!("SELECT user_id FROM users TABLESAMPLE BERNOULLI ({share}) ORDER BY random() LIMIT 1");
    let of_pages = format!("SELECT user_id FROM users TABLESAMPLE SYSTEM ({share_of_pages}) ORDER BY random() LIMIT 1");
    let before = statements.count().await?;
    let order_by_random = in_table(&sql, any, length).await?;
    let sample_of_rows = in_table(&sql, &of_rows, length).await?;
    let sample_of_pages = in_table(&sql, &of_pages, length).await?;
    let statements = statements.count().await? - before;
    let straight = order_by_random.count + sample_of_rows.count + sample_of_pages.count + 3 * WARM_UP;
    let (cache, cache_bulk) = (in_cache(corner, 1, length).await?, in_cache(corner, BULK, length).await?);
    Ok(Lookups { cache, cache_bulk, order_by_random, sample_of_rows, sample_of_pages, straight, statements })
}

async fn in_table(sql: &Client, query: &str, length: Duration) -> anyhow::Result<LatencySummary> {
    let query = sql.prepare(query).await?;
    timed(length, async || {
        let found = tokio::time::timeout(CALL, sql.query_opt(&query, &[])).await;
        found.with_context(|| format!("a lookup took longer than {CALL:?}"))??;
        Ok(())
    })
    .await
}

async fn in_cache(corner: &Corner, at_once: usize, length: Duration) -> anyhow::Result<LatencySummary> {
    let (mut redis, key) = (corner.cache.connect(CALL).await?, corner.cache.keys().users);
    timed(length, async || {
        let found: Vec<User> = cache::sample(&mut redis, &key, at_once).await?;
        ensure!(found.len() == at_once, "the cache is empty");
        Ok(())
    })
    .await
}

/// After [`WARM_UP`] that don't count.
async fn timed(
    length: Duration,
    mut lookup: impl AsyncFnMut() -> anyhow::Result<()>,
) -> anyhow::Result<LatencySummary> {
    for _ in 0..WARM_UP {
        lookup().await?;
    }
    let (mut latencies, until) = (Latencies::default(), Instant::now() + length);
    while Instant::now() < until {
        let started = Instant::now();
        lookup().await?;
        latencies.record_nanos(started.elapsed().as_nanos() as i64);
    }
    Ok(latencies.summary())
}
