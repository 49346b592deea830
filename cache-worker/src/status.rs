//! Shows how fresh the cache is.

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

const CONNECT: Duration = Duration::from_secs(5);
/// Counting a hundred million rows takes some ten seconds.
const COUNTING: Duration = Duration::from_secs(60);
const STATEMENT: Duration = Duration::from_secs(65);

/// The last round, as `cache_rounds` has it.
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
    fn of(row: &Row) -> Self {
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
    /// Whether the cache is filled and its rounds go on.
    fresh: bool,
    cached_users: usize,
    cached_products: usize,
    refreshed_at: Option<DateTime<Utc>>,
    last_round: LastRound,
    tables: Vec<Freshness>,
}

/// Prints it.
///
/// # Errors
/// When Redis or the database can't be reached.
pub async fn status(settings: &StatusSettings) -> anyhow::Result<Outcome> {
    let database = settings.database.settings()?;
    let status = look(settings, &database).await?;
    match settings.output {
        OutputFormat::Json => println!("{}", serde_json::to_string(&status)?),
        OutputFormat::Text => println!("{}", status.report(&settings.cache.address(), Utc::now())),
    }
    Ok(if status.fresh { Outcome::Valid } else { Outcome::Invalid })
}

async fn look(settings: &StatusSettings, database: &DatabaseSettings) -> anyhow::Result<Status> {
    require_tables(database).await?;
    let mut connection = StatementClient::connect(database, StatementMode::Unnamed, STATEMENT).await?;
    let mut redis = settings.cache.connect(CONNECT).await?;
    let there = cache::contents(&mut redis, &settings.cache.keys()).await.context("the cache can't be looked at")?;
    let all = cache_rounds::table.select(cache_rounds::all_columns);
    let last_round = LastRound::of(&connection.query_one(&all).await.context("the last round can't be read")?);
    Ok(Status {
        fresh: there.users > 0 && there.products > 0 && !last_round.is_overdue(Utc::now()),
        cached_users: there.users,
        cached_products: there.products,
        refreshed_at: there.refreshed_at,
        last_round,
        tables: freshness(&mut connection, COUNTING).await.context("the rows can't be counted")?,
    })
}

impl Status {
    fn report(&self, address: &str, now: DateTime<Utc>) -> Report {
        let mut report = Report::about("cache", address);
        let refreshed = self.refreshed_at.map_or("never".to_owned(), |at| ago(at, now));
        report.line("refreshed", refreshed, if self.fresh { "fresh" } else { "not fresh" });
        report.line("users", self.cached_users, "in Redis");
        report.line("products", self.cached_products, "in Redis");
        self.add_last_round(&mut report, now);
        for table in &self.tables {
            let Freshness { name, rows, never_cached, oldest_cached_at } = table;
            report.line(&format!("table {name}"), rows, format!("rows, of which {never_cached} were never cached"));
            let oldest = oldest_cached_at.map_or("-".to_owned(), |at| ago(at, now));
            report.line("  cached longest ago", oldest, oldest_cached_at.map_or(String::new(), clock));
            if self.last_round.cached_at.is_some() {
                let turn = table.full_cycle(self.last_round.size.unsigned_abs() as usize, self.last_round.interval());
                report.line("  full turn", span(turn), "until all of them have been cached, if no others come");
            }
        }
        report
    }

    fn add_last_round(&self, report: &mut Report, now: DateTime<Utc>) {
        let round = &self.last_round;
        let Some(cached_at) = round.cached_at else { return report.line("last round", "never", "") };
        report.line("last round", ago(cached_at, now), clock(cached_at));
        report.line("  took", format!("{} ms", round.took_ms), format!("one every {}", span(round.interval())));
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
            Ok(wait) => report.line("next round", format!("in {}", span(wait)), ""),
            Err(_) if !round.is_overdue(now) => report.line("next round", "now", ""),
            Err(_) => report.line("next round", ago(due_at, now), "overdue: is a cache-worker running?"),
        }
    }
}

fn clock(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    format!("{} ago", span((now - at).to_std().unwrap_or_default()))
}

/// In whole seconds, milliseconds below one.
fn span(length: Duration) -> String {
    let shown = if length < Duration::from_secs(1) {
        Duration::from_millis(length.as_millis() as u64)
    } else {
        Duration::from_secs(length.as_secs())
    };
    humantime::format_duration(shown).to_string()
}
