//! The cache: its rounds, the rows of the tables, and what is in Redis. `cache-worker status` counts the rows of both
//! tables and tells how long a full cycle takes.

use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde::Serialize;
use shared::cache::{self, CacheSettings};
use tokio_postgres::types::Type;

use super::session::Session;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Rows that were never cached are counted up to this number.
pub const MAX_COUNTED: i64 = 1_000_000;

/// The last round, and the next one.
#[derive(Debug, Serialize)]
pub struct Rounds {
    /// `None` before the first round.
    pub last_at: Option<DateTime<Utc>>,
    pub last_age_seconds: Option<i64>,
    pub took_ms: i32,
    pub size: i32,
    pub interval_ms: i64,
    /// `None`: at once.
    pub next_at: Option<DateTime<Utc>>,
    /// Whether the next round is late by more than an interval.
    pub is_overdue: bool,
    pub users: CachedRows,
    pub products: CachedRows,
}

/// How far the rows of a table have been cached.
#[derive(Debug, Serialize)]
pub struct CachedRows {
    /// Rows in the last round that were never cached before.
    pub new: i32,
    /// Rows in the last round that were cached longest ago.
    pub aged: i32,
    /// At most [`MAX_COUNTED`].
    pub never_cached: i64,
    pub oldest_cached_at: Option<DateTime<Utc>>,
}

/// What is in Redis.
#[derive(Debug, Serialize)]
pub struct RedisStatus {
    pub address: String,
    pub users: usize,
    pub products: usize,
    pub refreshed_at: Option<DateTime<Utc>>,
    pub age_seconds: Option<i64>,
}

const LAST_ROUND: &str = "SELECT cached_at, took_ms, size, interval_ms, due_at, new_users, aged_users, new_products, \
     aged_products, coalesce(now() - due_at > interval_ms * interval '1 millisecond', false) AS is_overdue, \
     extract(epoch FROM now() - cached_at)::bigint AS age_seconds FROM cache_rounds";

/// # Errors
/// When the server refuses a query or does not answer in time.
pub async fn rounds(session: &Session) -> anyhow::Result<Rounds> {
    let row = session.row(LAST_ROUND, &[]).await?;
    Ok(Rounds {
        last_at: row.get("cached_at"),
        last_age_seconds: row.get("age_seconds"),
        took_ms: row.get("took_ms"),
        size: row.get("size"),
        interval_ms: row.get("interval_ms"),
        next_at: row.get("due_at"),
        is_overdue: row.get("is_overdue"),
        users: cached_rows(session, "users", (row.get("new_users"), row.get("aged_users"))).await?,
        products: cached_rows(session, "products", (row.get("new_products"), row.get("aged_products"))).await?,
    })
}

/// Both queries use the indexes of the cache-worker.
async fn cached_rows(session: &Session, table: &str, (new, aged): (i32, i32)) -> anyhow::Result<CachedRows> {
    let query = format!(
        "SELECT (SELECT count(*) FROM (SELECT FROM {table} WHERE last_cached_at IS NULL LIMIT $1) counted), \
         (SELECT last_cached_at FROM {table} WHERE last_cached_at IS NOT NULL ORDER BY last_cached_at LIMIT 1)"
    );
    let row = session.row(&query, &[(&MAX_COUNTED, Type::INT8)]).await?;
    Ok(CachedRows { new, aged, never_cached: row.get(0), oldest_cached_at: row.get(1) })
}

/// # Errors
/// When Redis can't be reached or read.
pub async fn redis(settings: &CacheSettings) -> anyhow::Result<RedisStatus> {
    let mut connection = settings.connect(CONNECT_TIMEOUT).await?;
    let contents = cache::contents(&mut connection, &settings.keys()).await.context("the cache can't be read")?;
    let age_seconds = contents.refreshed_at.map(|at| (Utc::now() - at).num_seconds());
    Ok(RedisStatus {
        address: settings.address(),
        users: contents.users,
        products: contents.products,
        refreshed_at: contents.refreshed_at,
        age_seconds,
    })
}
