//! `cache-worker status`: shows how fresh the cache is.

use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use diesel::QueryDsl;
use serde::Serialize;
use shared::{
    cache,
    database::{DatabaseSettings, StatementClient, StatementMode, migrations::require_tables, schema::cache_rounds},
    program::{Outcome, OutputFormat},
    report::Report,
};
use tokio_postgres::Row;

use crate::{
    freshness::{Freshness, freshness},
    settings::StatusSettings,
};

const REDIS_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Counting a hundred million rows takes some ten seconds.
const COUNT_TIMEOUT: Duration = Duration::from_secs(60);
/// Longer than the timeout of the server, so that its error is shown.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(65);

/// The row of `cache_rounds`.
#[derive(Debug, Serialize)]
struct LastRound {
    epoch: i64,
    due_at: Option<DateTime<Utc>>,
    cached_at: Option<DateTime<Utc>>,
    size: i32,
    interval_ms: i64,
    took_ms: i32,
    new_users: i32,
    aged_users: i32,
    new_products: i32,
    aged_products: i32,
}

impl LastRound {
    fn from_row(row: &Row) -> Self {
        Self {
            epoch: row.get("epoch"),
            due_at: row.get("due_at"),
            cached_at: row.get("cached_at"),
            size: row.get("size"),
            interval_ms: row.get("interval_ms"),
            took_ms: row.get("took_ms"),
            new_users: row.get("new_users"),
            aged_users: row.get("aged_users"),
            new_products: row.get("new_products"),
            aged_products: row.get("aged_products"),
        }
    }

    fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms.unsigned_abs())
    }

    fn is_overdue(&self, now: DateTime<Utc>) -> bool {
        let interval = TimeDelta::from_std(self.interval()).unwrap_or(TimeDelta::MAX);
        self.due_at.is_none_or(|due| now - due > interval)
    }
}

/// What `--output json` prints.
#[derive(Debug, Serialize)]
struct Status {
    /// Whether the cache has users and products, and its rounds are not overdue.
    fresh: bool,
    cached_users: usize,
    cached_products: usize,
    refreshed_at: Option<DateTime<Utc>>,
    last_round: LastRound,
    tables: Vec<Freshness>,
}

/// Prints the status. The outcome is invalid if the cache is not fresh.
///
/// # Errors
/// When Redis or the database fails.
pub async fn status(settings: &StatusSettings) -> anyhow::Result<Outcome> {
    let database = settings.database.settings()?;
    let status = read_status(settings, &database).await?;
    match settings.output {
        OutputFormat::Json => println!("{}", serde_json::to_string(&status)?),
        OutputFormat::Text => println!("{}", status.report(&settings.cache.address(), Utc::now())),
    }
    Ok(if status.fresh { Outcome::Valid } else { Outcome::Invalid })
}

async fn read_status(settings: &StatusSettings, database: &DatabaseSettings) -> anyhow::Result<Status> {
    require_tables(database).await?;
    let mut connection = StatementClient::connect(database, StatementMode::Unnamed, STATEMENT_TIMEOUT).await?;
    let mut redis = settings.cache.connect(REDIS_CONNECT_TIMEOUT).await?;
    let contents =
        cache::contents(&mut redis, &settings.cache.keys()).await.context("the cache in Redis can't be read")?;
    let all = cache_rounds::table.select(cache_rounds::all_columns);
    let last_round = LastRound::from_row(&connection.query_one(&all).await.context("the last round can't be read")?);
    Ok(Status {
        fresh: contents.users > 0 && contents.products > 0 && !last_round.is_overdue(Utc::now()),
        cached_users: contents.users,
        cached_products: contents.products,
        refreshed_at: contents.refreshed_at,
        last_round,
        tables: freshness(&mut connection, COUNT_TIMEOUT).await.context("the rows of the tables can't be counted")?,
    })
}

impl Status {
    fn report(&self, address: &str, now: DateTime<Utc>) -> Report {
        let mut report = Report::about("cache", if self.fresh { "fresh" } else { "not fresh" });
        let refreshed = self.refreshed_at.map_or("never".to_owned(), |at| ago(at, now));
        report.line("refreshed", refreshed, format!("in Redis at {address}"));
        report.line("  users", self.cached_users, "");
        report.line("  products", self.cached_products, "");
        self.add_last_round(&mut report, now);
        for table in &self.tables {
            let Freshness { name, rows, never_cached, oldest_cached_at } = table;
            report.line(&format!("table {name}"), rows, format!("rows, {never_cached} of them never cached"));
            let oldest = oldest_cached_at.map_or("-".to_owned(), |at| ago(at, now));
            report.line("  cached longest ago", oldest, oldest_cached_at.map_or(String::new(), utc));
            if self.last_round.cached_at.is_some() {
                let size = self.last_round.size.unsigned_abs() as usize;
                let full_cycle = table.full_cycle(size, self.last_round.interval());
                report.line("  full cycle", duration(full_cycle), "until every row is refreshed");
            }
        }
        report
    }

    fn add_last_round(&self, report: &mut Report, now: DateTime<Utc>) {
        let round = &self.last_round;
        let Some(cached_at) = round.cached_at else { return report.line("last round", "never", "") };
        report.line("last round", ago(cached_at, now), utc(cached_at));
        report.line(
            "  took",
            format!("{} ms", round.took_ms),
            format!("one round every {}", duration(round.interval())),
        );
        report.line(
            "  users",
            round.new_users + round.aged_users,
            format!("{} new, {} aged", round.new_users, round.aged_users),
        );
        report.line(
            "  products",
            round.new_products + round.aged_products,
            format!("{} new, {} aged", round.new_products, round.aged_products),
        );
        let Some(due_at) = round.due_at else { return };
        match (due_at - now).to_std() {
            Ok(wait) => report.line("next round", format!("in {}", duration(wait)), ""),
            Err(_) if !round.is_overdue(now) => report.line("next round", "now", ""),
            Err(_) => report.line("next round", ago(due_at, now), "overdue: check that a cache-worker is running"),
        }
    }
}

fn utc(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    format!("{} ago", duration((now - at).to_std().unwrap_or_default()))
}

/// In whole seconds, or milliseconds below one second.
fn duration(length: Duration) -> String {
    let shown = if length < Duration::from_secs(1) {
        Duration::from_millis(length.as_millis() as u64)
    } else {
        Duration::from_secs(length.as_secs())
    };
    humantime::format_duration(shown).to_string()
}
