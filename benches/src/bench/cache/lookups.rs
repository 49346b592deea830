//! Latency of a lookup of a random user: in the cache, and in the table by the usual queries.

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

use super::statement_counter::StatementCounter;
use crate::bench::{environment::BenchEnvironment, timeouts::REQUEST_TIMEOUT};

/// Expected rows of a sample of the table, so that the sample is almost never empty.
const SAMPLE_ROWS: f64 = 100.0;
/// Expected pages of a sample by pages, for the same reason: `SYSTEM` takes whole pages or nothing.
const SAMPLE_PAGES: f64 = 10.0;
/// Users that the producer samples with one command.
const BULK: usize = 500;
/// Slices into which the measurement of each method is cut.
const SLICES: u32 = 10;
/// Lookup methods: one field of [`Lookups`] each.
const METHODS: usize = 5;

/// Latencies of each lookup method. Each method sends one lookup at a time over one connection, without pauses.
#[derive(Clone, Debug, Serialize)]
pub struct Lookups {
    /// `HRANDFIELD key 1 WITHVALUES`, which returns the row.
    pub cache: LatencySummary,
    /// `HRANDFIELD key 500 WITHVALUES`, as the producer does: latency of the command, for 500 users.
    pub cache_bulk: LatencySummary,
    /// `ORDER BY random() LIMIT 1`: every user is equally likely.
    pub order_by_random: LatencySummary,
    /// `TABLESAMPLE BERNOULLI`, a sample by rows: every user is almost equally likely.
    pub sample_of_rows: LatencySummary,
    /// `TABLESAMPLE SYSTEM`, a sample by pages: users of one page are sampled together.
    pub sample_of_pages: LatencySummary,
    /// Lookups in the table, all methods together.
    #[serde(rename = "straight")]
    pub direct: u64,
    /// Statements that the database counted during them.
    pub statements: i64,
}

/// Measures each method for `length`. The methods alternate in short slices, so that a disturbance of the machine
/// affects all of them.
///
/// # Errors
/// When Redis or the database fails, or has no users.
pub async fn measure_lookups(
    bench: &BenchEnvironment,
    statements: &StatementCounter,
    length: Duration,
) -> anyhow::Result<Lookups> {
    let sql = connect(&bench.database).await?;
    let (percent_of_rows, percent_of_pages) = sample_percentages(&sql).await?;
    let queries = [
        "SELECT user_id FROM users ORDER BY random() LIMIT 1".to_owned(),
        format!("SELECT user_id FROM users TABLESAMPLE BERNOULLI ({percent_of_rows}) ORDER BY random() LIMIT 1"),
        format!("SELECT user_id FROM users TABLESAMPLE SYSTEM ({percent_of_pages}) ORDER BY random() LIMIT 1"),
    ];
    let mut methods: [Latencies; METHODS] = Default::default();
    let (slice, mut counted) = (length / SLICES, 0);
    for _ in 0..SLICES {
        let [cache, cache_bulk, in_table @ ..] = &mut methods;
        look_up_in_cache(bench, 1, slice, cache).await?;
        look_up_in_cache(bench, BULK, slice, cache_bulk).await?;
        let before = statements.count().await?;
        for (query, latencies) in queries.iter().zip(in_table) {
            look_up_in_table(&sql, query, slice, latencies).await?;
        }
        counted += statements.count().await? - before;
    }
    let [cache, cache_bulk, order_by_random, sample_of_rows, sample_of_pages] =
        methods.map(|latencies| latencies.summary());
    let direct = order_by_random.count + sample_of_rows.count + sample_of_pages.count;
    Ok(Lookups { cache, cache_bulk, order_by_random, sample_of_rows, sample_of_pages, direct, statements: counted })
}

/// Percentages of the table for a sample by rows and for one by pages.
async fn sample_percentages(sql: &Client) -> anyhow::Result<(f64, f64)> {
    let row = sql.query_one("SELECT count(*), pg_relation_size('users') / 8192 FROM users", &[]).await?;
    let (users, pages): (i64, i64) = (row.get(0), row.get(1));
    ensure!(users > 0 && pages > 0, "the table users is empty");
    let of_rows = (100.0 * SAMPLE_ROWS / users as f64).min(100.0);
    let of_pages = (100.0 * SAMPLE_PAGES / pages as f64).max(of_rows).min(100.0);
    Ok((of_rows, of_pages))
}

async fn look_up_in_table(
    sql: &Client,
    query: &str,
    length: Duration,
    latencies: &mut Latencies,
) -> anyhow::Result<()> {
    let query = sql.prepare(query).await?;
    let lookup = async || {
        let found = tokio::time::timeout(REQUEST_TIMEOUT, sql.query_opt(&query, &[])).await;
        found.with_context(|| format!("a lookup in the table users takes longer than {REQUEST_TIMEOUT:?}"))??;
        Ok(())
    };
    record(length, latencies, lookup).await
}

async fn look_up_in_cache(
    bench: &BenchEnvironment,
    users: usize,
    length: Duration,
    latencies: &mut Latencies,
) -> anyhow::Result<()> {
    let cache = &bench.services.cache;
    let (mut redis, key) = (cache.connect(REQUEST_TIMEOUT).await?, cache.keys().users);
    let lookup = async || {
        let found: Vec<User> = cache::sample(&mut redis, &key, users).await?;
        ensure!(found.len() == users, "the cache has only {} of {users} users", found.len());
        Ok(())
    };
    record(length, latencies, lookup).await
}

/// Repeats `lookup` for `length` and records each latency.
async fn record(
    length: Duration,
    latencies: &mut Latencies,
    mut lookup: impl AsyncFnMut() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let end = Instant::now() + length;
    while Instant::now() < end {
        let started = Instant::now();
        lookup().await?;
        latencies.record_nanos(started.elapsed().as_nanos() as i64);
    }
    Ok(())
}
