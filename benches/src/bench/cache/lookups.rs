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
/// Of each way.
const TURNS: u32 = 10;
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
    /// Lookups in the table, of all ways together.
    pub straight: u64,
    /// Statements that the database counted meanwhile.
    pub statements: i64,
}

/// Ways to look up, in the order in which they take turns.
const WAYS: usize = 5;

/// Measures each way for so long, a little at a time in turns, so that what disturbs the machine disturbs them alike.
///
/// # Errors
/// When Redis or the database fails, or has no users.
pub async fn look_up(corner: &Corner, statements: &Statements, length: Duration) -> anyhow::Result<Lookups> {
    let sql = connect(&corner.database).await?;
    let (share_of_rows, share_of_pages) = shares(&sql).await?;
    let queries = [
        "SELECT user_id FROM users ORDER BY random() LIMIT 1".to_owned(),
        format!("SELECT user_id FROM users TABLESAMPLE BERNOULLI ({share_of_rows}) ORDER BY random() LIMIT 1"),
        format!("SELECT user_id FROM users TABLESAMPLE SYSTEM ({share_of_pages}) ORDER BY random() LIMIT 1"),
    ];
    let mut ways: [Latencies; WAYS] = Default::default();
    let mut asked = 0;
    for _ in 0..TURNS {
        let [cache, cache_bulk, straight @ ..] = &mut ways;
        in_cache(corner, 1, length / TURNS, cache).await?;
        in_cache(corner, BULK, length / TURNS, cache_bulk).await?;
        let before = statements.count().await?;
        for (query, latencies) in queries.iter().zip(straight) {
            in_table(&sql, query, length / TURNS, latencies).await?;
        }
        asked += statements.count().await? - before;
    }
    let [cache, cache_bulk, order_by_random, sample_of_rows, sample_of_pages] = ways.map(|way| way.summary());
    let straight = order_by_random.count + sample_of_rows.count + sample_of_pages.count;
    Ok(Lookups { cache, cache_bulk, order_by_random, sample_of_rows, sample_of_pages, straight, statements: asked })
}

/// The shares of the table, in percent, that a sample by rows and one by pages take.
async fn shares(sql: &Client) -> anyhow::Result<(f64, f64)> {
    let row = sql.query_one("SELECT count(*), pg_relation_size('users') / 8192 FROM users", &[]).await?;
    let (users, pages): (i64, i64) = (row.get(0), row.get(1));
    ensure!(users > 0 && pages > 0, "there are no users");
    let of_rows = (100.0 * SAMPLED / users as f64).min(100.0);
    // It takes whole pages, so several are to be expected for one to be there.
    let of_pages = (100.0 * 10.0 / pages as f64).max(of_rows).min(100.0);
    Ok((of_rows, of_pages))
}

async fn in_table(sql: &Client, query: &str, length: Duration, latencies: &mut Latencies) -> anyhow::Result<()> {
    let query = sql.prepare(query).await?;
    let lookup = async || {
        let found = tokio::time::timeout(CALL, sql.query_opt(&query, &[])).await;
        found.with_context(|| format!("a lookup took longer than {CALL:?}"))??;
        Ok(())
    };
    timed(length, latencies, lookup).await
}

async fn in_cache(corner: &Corner, at_once: usize, length: Duration, latencies: &mut Latencies) -> anyhow::Result<()> {
    let (mut redis, key) = (corner.cache.connect(CALL).await?, corner.cache.keys().users);
    let lookup = async || {
        let found: Vec<User> = cache::sample(&mut redis, &key, at_once).await?;
        ensure!(found.len() == at_once, "the cache is empty");
        Ok(())
    };
    timed(length, latencies, lookup).await
}

async fn timed(
    length: Duration,
    latencies: &mut Latencies,
    mut lookup: impl AsyncFnMut() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let until = Instant::now() + length;
    while Instant::now() < until {
        let started = Instant::now();
        lookup().await?;
        latencies.record_nanos(started.elapsed().as_nanos() as i64);
    }
    Ok(())
}
