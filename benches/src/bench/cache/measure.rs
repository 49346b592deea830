//! The steps of `bench cache`, in order.

use std::collections::BTreeSet;

use anyhow::Context;
use shared::{kafka::ensure_topic, program::Outcome};
use tokio_util::sync::CancellationToken;

use super::{
    background_producer::BackgroundProducer,
    cache_worker::{measure_cached_load, time_rounds},
    lookups::measure_lookups,
    result::{CacheBenchResult, Ratios, StatementsPerMinute, TableResult},
    statement_counter::StatementCounter,
};
use crate::{
    bench::{contest::median, environment::BenchEnvironment, report::print},
    settings::CacheBenchSettings,
};

/// Rounds of the cache-worker that are timed on each table.
const ROUNDS: usize = 10;
/// An order has a user and a product.
const LOOKUPS_PER_ORDER: f64 = 2.0;
/// Warm-up before the first measurement, as a multiple of `--lookup-duration`: brokers that have just been started
/// compile their code, which takes CPU time.
const WARM_UP: u32 = 4;

/// Measures and prints the result.
///
/// # Errors
/// When a service or a program fails, or on `stop`.
pub async fn bench_cache(settings: CacheBenchSettings, stop: &CancellationToken) -> anyhow::Result<Outcome> {
    let bench = BenchEnvironment::create(&settings.services).await?;
    let measured = stop.run_until_cancelled(measure(&bench, &settings)).await;
    let deleted = bench.delete().await;
    let result = measured.context("interrupted")??;
    deleted?;
    print(&result, settings.output, CacheBenchResult::to_string)?;
    Ok(Outcome::Valid)
}

async fn measure(bench: &BenchEnvironment, settings: &CacheBenchSettings) -> anyhow::Result<CacheBenchResult> {
    bench.run("orderdb", &["migrate", "up"]).await?;
    ensure_topic(&bench.services.kafka, &bench.services.topic.orders()).await?;
    let statements = StatementCounter::connect(&bench.database).await?;
    // In ascending order: seeding adds users and removes none.
    let sizes: BTreeSet<u64> = settings.users.iter().copied().collect();
    let smallest = sizes.first().context("--users has no table size")?.to_string();
    bench.run("orderdb", &["seed", "--users", &smallest]).await?;
    bench.run("cache-worker", &["--once"]).await?;
    let producer = BackgroundProducer::start(bench, settings.rate)?;
    let warm_up = settings.lookup_duration * WARM_UP;
    tracing::info!("warming up the brokers for {warm_up:?}");
    tokio::time::sleep(warm_up).await;
    let mut tables = Vec::new();
    for users in sizes {
        tables.push(measure_table(bench, settings, &statements, users).await?);
    }
    let load = measure_cached_load(bench, settings.interval, &statements, producer).await?;

    let counted: i64 = tables.iter().map(|table| table.lookups.statements).sum();
    let lookups: u64 = tables.iter().map(|table| table.lookups.direct).sum();
    let statements_per_lookup = counted as f64 / lookups as f64;
    Ok(CacheBenchResult {
        orders_per_second: settings.rate,
        orders_per_second_achieved: load.orders_per_second,
        tables,
        statements_per_minute: StatementsPerMinute {
            cached: load.statements_per_minute,
            direct: statements_per_lookup * LOOKUPS_PER_ORDER * load.orders_per_second * 60.0,
            direct_at_one_per_second: statements_per_lookup * 60.0,
            rounds_per_minute: load.rounds_per_minute,
        },
        cache_worker_bytes: load.peak_memory,
    })
}

async fn measure_table(
    bench: &BenchEnvironment,
    settings: &CacheBenchSettings,
    statements: &StatementCounter,
    users: u64,
) -> anyhow::Result<TableResult> {
    tracing::info!("{users} users: seeding, {ROUNDS} rounds, then each method for {:?}", settings.lookup_duration);
    bench.run("orderdb", &["seed", "--users", &users.to_string()]).await?;
    let rounds = time_rounds(bench, ROUNDS).await?;
    let lookups = measure_lookups(bench, statements, settings.lookup_duration).await?;
    let slowest_round_ms = rounds.iter().copied().fold(0.0, f64::max);
    let ratios = Ratios::of(&lookups);
    Ok(TableResult { users, round_ms: median(rounds), slowest_round_ms, lookups, ratios })
}
