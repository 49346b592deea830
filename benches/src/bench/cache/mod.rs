//! What the cache is good for: a random user out of it against one straight out of the table, and how many statements the
//! database is spared, all while the same producer runs.

mod lookups;
mod statements;

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, bail};
use serde::Serialize;
use shared::{
    database::connect, kafka::ensure_topic, latency::LatencySummary, ledger::RunSummary, program::Outcome,
    report::Report,
};
use tokio_util::sync::CancellationToken;

use self::{
    lookups::{Lookups, look_up},
    statements::Statements,
};
use super::{corner::Corner, median, print};
use crate::{
    metrics,
    programs::{Program, free_address},
    settings::CacheBenchSettings,
};

/// Rounds on each table.
const ROUNDS: usize = 10;
/// Users of the table that the ratio is of, where it is among those measured; else the largest.
const RATIO_OF: u64 = 100_000;
/// An order has a user and a product.
const LOOKUPS_AN_ORDER: f64 = 2.0;
/// By how much the time before anything is measured is longer than that of a way of looking up: brokers that have just been
/// started compile their code as they go, and take both cores for it.
const WARM_UP: u32 = 4;
/// Longest wait for a program to be ready or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// One size of the table.
#[derive(Debug, Serialize)]
struct Table {
    users: u64,
    /// Milliseconds of a round, from its begin until its commit.
    round_ms: f64,
    slowest_round_ms: f64,
    lookups: Lookups,
}

/// Statements a minute.
#[derive(Debug, Serialize)]
struct Spared {
    /// With the cache: those of the cache-worker, by two intervals of it.
    cached: f64,
    /// What as many orders as were sent take without.
    straight: f64,
    /// What one lookup a second takes without.
    straight_at_one_a_second: f64,
    rounds_a_minute: f64,
}

/// Of medians.
#[derive(Debug, Serialize)]
struct Ratios {
    /// Time of `ORDER BY random()` over that of the cache.
    lookup: f64,
    /// Share of the statements that are not sent, 0 to 1.
    queries_saved: f64,
}

#[derive(Debug, Serialize)]
struct Result {
    orders_a_second: u32,
    orders_a_second_achieved: f64,
    tables: Vec<Table>,
    statements_a_minute: Spared,
    /// The most that the cache-worker had resident.
    cache_worker_bytes: u64,
    ratios: Ratios,
}

/// Measures and prints.
///
/// # Errors
/// When a service or a program fails, or at a `stop`.
pub async fn bench_cache(settings: CacheBenchSettings, stop: &CancellationToken) -> anyhow::Result<Outcome> {
    let corner = Corner::make(&settings.services).await?;
    let measured = stop.run_until_cancelled(measure(&corner, &settings)).await;
    let cleaned = corner.clean().await;
    let result = measured.context("interrupted")??;
    cleaned?;
    print(&result, settings.output, report)?;
    Ok(Outcome::Valid)
}

async fn measure(corner: &Corner, settings: &CacheBenchSettings) -> anyhow::Result<Result> {
    corner.run("orderdb", &["migrate", "up"]).await?;
    ensure_topic(&corner.kafka, &corner.topic.orders()).await?;
    let statements = Statements::of(&corner.database).await?;
    let mut tables = Vec::new();
    // A table only grows.
    let sizes: BTreeSet<u64> = settings.users.iter().copied().collect();
    let smallest = sizes.first().context("no table")?.to_string();
    corner.run("orderdb", &["seed", "--users", &smallest]).await?;
    corner.run("cache-worker", &["--once"]).await?;
    let producer = produce(corner, settings)?;
    let warm_up = settings.lookups_for * WARM_UP;
    tracing::info!("the producer has {warm_up:?} to warm up the brokers");
    tokio::time::sleep(warm_up).await;
    for users in sizes {
        tracing::info!("{users} users: seeding, {ROUNDS} rounds, then each way for {:?}", settings.lookups_for);
        corner.run("orderdb", &["seed", "--users", &users.to_string()]).await?;
        let rounds = rounds(corner).await?;
        let lookups = look_up(corner, &statements, settings.lookups_for).await?;
        let slowest_round_ms = rounds.iter().copied().fold(0.0, f64::max);
        tables.push(Table { users, round_ms: median(rounds), slowest_round_ms, lookups });
    }
    let asked: i64 = tables.iter().map(|table| table.lookups.statements).sum();
    let lookups: u64 = tables.iter().map(|table| table.lookups.straight).sum();
    let straight_a_lookup = asked as f64 / lookups as f64;
    let worked = with_the_cache(corner, settings, &statements, producer).await?;
    let straight = straight_a_lookup * LOOKUPS_AN_ORDER * worked.orders_a_second * 60.0;
    let named = tables.iter().find(|table| table.users == RATIO_OF).or(tables.last()).context("no table")?;
    let ratios = Ratios {
        lookup: named.lookups.order_by_random.p50 / named.lookups.cache.p50,
        queries_saved: 1.0 - worked.statements_a_minute / straight,
    };
    Ok(Result {
        orders_a_second: settings.rate,
        orders_a_second_achieved: worked.orders_a_second,
        tables,
        statements_a_minute: Spared {
            cached: worked.statements_a_minute,
            straight,
            straight_at_one_a_second: straight_a_lookup * 60.0,
            rounds_a_minute: worked.rounds_a_minute,
        },
        cache_worker_bytes: worked.memory,
        ratios,
    })
}

/// How long rounds take, in milliseconds, each begun by itself.
async fn rounds(corner: &Corner) -> anyhow::Result<Vec<f64>> {
    let sql = connect(&corner.database).await?;
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        corner.run("cache-worker", &["--once"]).await?;
        let milliseconds: i32 = sql.query_one("SELECT took_ms FROM cache_rounds", &[]).await?.get(0);
        took.push(f64::from(milliseconds));
    }
    Ok(took)
}

fn produce(corner: &Corner, settings: &CacheBenchSettings) -> anyhow::Result<Program> {
    let runs = corner.folder.path().join("runs").display().to_string();
    let arguments = ["--rate", &settings.rate.to_string(), "--output", "json", "--runs-dir", &runs];
    Program::start("producer", "producer", arguments, &corner.environment, &corner.logs())
}

/// Asks the producer to stop, and gives the rate that it achieved.
async fn end(mut producer: Program) -> anyhow::Result<f64> {
    tokio::task::spawn_blocking(move || {
        producer.check()?;
        producer.ask_to_stop()?;
        let status = producer.wait(PATIENCE)?;
        // A machine that is busy with lookups need not leave it in time for every order.
        if !matches!(status.code(), Some(0 | 3)) {
            bail!("the producer failed, {status}:\n{}", producer.log_tail());
        }
        let log = producer.log();
        // What it says of its progress stands before it.
        let summary = log.find("\n{").map(|at| &log[at..]).context("the producer printed no summary")?;
        let summary = serde_json::Deserializer::from_str(summary).into_iter::<RunSummary>().next();
        Ok(summary.context("the producer printed no summary")??.rate_achieved)
    })
    .await?
}

struct Worked {
    statements_a_minute: f64,
    rounds_a_minute: f64,
    orders_a_second: f64,
    memory: u64,
}

/// Two intervals of the cache-worker beside the producer, from the middle between two rounds to another.
async fn with_the_cache(
    corner: &Corner,
    settings: &CacheBenchSettings,
    statements: &Statements,
    producer: Program,
) -> anyhow::Result<Worked> {
    let (address, interval) = (free_address()?, settings.interval);
    let length = interval * 2;
    tracing::info!("counting statements for {length:?}");
    let every = humantime::format_duration(interval).to_string();
    let arguments = ["--interval", &every, "--listen", &address.to_string()];
    let mut worker = Program::start("cache-worker", "cache-worker", arguments, &corner.environment, &corner.logs())?;
    let cached = async || metrics::value(address, &format!("{}_count", cache_worker::metrics::ROUND_SECONDS)).await;
    let first = async {
        while cached().await.unwrap_or(0.0) < 1.0 {
            worker.check()?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::Ok(())
    };
    let patience = interval + PATIENCE;
    tokio::time::timeout(patience, first).await.with_context(|| format!("no round within {patience:?}"))??;
    tokio::time::sleep(interval / 2).await;
    let (asked, rounds) = (statements.count().await?, cached().await?);
    tokio::time::sleep(length).await;
    let (asked, rounds) = (statements.count().await? - asked, cached().await? - rounds);
    let (orders_a_second, memory) = (end(producer).await?, worker.peak_memory()?);
    tokio::task::spawn_blocking(move || worker.stop()).await??;
    let minutes = length.as_secs_f64() / 60.0;
    Ok(Worked {
        statements_a_minute: asked as f64 / minutes,
        rounds_a_minute: rounds / minutes,
        orders_a_second,
        memory,
    })
}

fn report(result: &Result) -> Report {
    let mut report = Report::about("a random user", "p50 / p99 ms");
    for Table { users, round_ms, slowest_round_ms, lookups } in &result.tables {
        let cache = lookups.cache.p50;
        let mut line = |what: &str, of: &LatencySummary, meaning: String| {
            report.line(what, format!("{:.3} / {:.3}", of.p50, of.p99), meaning);
        };
        let slower = |of: &LatencySummary| format!("{:.1} × as long as the cache", of.p50 / cache);
        line(
            &format!("{users} users: cache"),
            &lookups.cache,
            format!("{} lookups, one at a time", lookups.cache.count),
        );
        line("  500 at a time", &lookups.cache_bulk, "a call; what the producer does".to_owned());
        line("  ORDER BY random()", &lookups.order_by_random, slower(&lookups.order_by_random));
        let of_rows = format!("{}, nearly even", slower(&lookups.sample_of_rows));
        line("  TABLESAMPLE BERNOULLI", &lookups.sample_of_rows, of_rows);
        let of_pages = format!("{}, neighbours come together", slower(&lookups.sample_of_pages));
        line("  TABLESAMPLE SYSTEM", &lookups.sample_of_pages, of_pages);
        report.line(
            "  a round",
            format!("{round_ms:.0} ms"),
            format!("the slowest of {ROUNDS}: {slowest_round_ms:.0} ms"),
        );
    }
    let Spared { cached, straight, straight_at_one_a_second, rounds_a_minute } = result.statements_a_minute;
    let rate = result.orders_a_second;
    report.line(
        "statements a minute",
        format!("{cached:.1}"),
        format!("{rounds_a_minute:.1} rounds a minute, at any rate"),
    );
    let spared = format!("{:.3} % saved at {rate} orders a second", result.ratios.queries_saved * 100.0);
    report.line("  straight", format!("{straight:.0}"), spared);
    let spared = format!("{:.1} % saved at one lookup a second", (1.0 - cached / straight_at_one_a_second) * 100.0);
    report.line("  straight, slowly", format!("{straight_at_one_a_second:.0}"), spared);
    report.line("producer", format!("{:.1}/s", result.orders_a_second_achieved), format!("of {rate} asked"));
    report.line(
        "cache-worker",
        format!("{:.1} MiB", result.cache_worker_bytes as f64 / 1_048_576.0),
        "the most that it had",
    );
    report
}
