//! The cache-worker: duration of its rounds, and its statements and memory while the producer runs.

use std::time::Duration;

use anyhow::Context;
use shared::database::connect;

use super::{background_producer::BackgroundProducer, statement_counter::StatementCounter};
use crate::{
    bench::environment::BenchEnvironment,
    metrics,
    process::{Program, free_address},
};

/// Timeout of the first round, in addition to the interval.
const FIRST_ROUND_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Runs `rounds` rounds, one process per round, and returns the duration of each round in milliseconds.
///
/// # Errors
/// When a round fails.
pub async fn time_rounds(bench: &BenchEnvironment, rounds: usize) -> anyhow::Result<Vec<f64>> {
    let sql = connect(&bench.database).await?;
    let mut durations = Vec::new();
    for _ in 0..rounds {
        bench.run("cache-worker", &["--once"]).await?;
        let milliseconds: i32 = sql.query_one("SELECT took_ms FROM cache_rounds", &[]).await?.get(0);
        durations.push(f64::from(milliseconds));
    }
    Ok(durations)
}

/// The pipeline with a cache, over two intervals of the cache-worker.
pub struct CachedLoad {
    pub statements_per_minute: f64,
    pub rounds_per_minute: f64,
    /// Rate of the producer.
    pub orders_per_second: f64,
    /// Peak resident memory of the cache-worker, in bytes.
    pub peak_memory: u64,
}

/// Counts for two intervals, from half an interval after a round, so that two whole rounds are counted. Stops
/// `producer`.
///
/// # Errors
/// When a program fails, or the first round does not come in time.
pub async fn measure_cached_load(
    bench: &BenchEnvironment,
    interval: Duration,
    statements: &StatementCounter,
    producer: BackgroundProducer,
) -> anyhow::Result<CachedLoad> {
    let (address, length) = (free_address()?, interval * 2);
    tracing::info!("counting statements for {length:?}");
    let every = humantime::format_duration(interval).to_string();
    let arguments = ["--interval", &every, "--listen", &address.to_string()];
    let mut worker = Program::start("cache-worker", "cache-worker", arguments, &bench.variables, &bench.logs())?;
    let rounds = async || metrics::value(address, &format!("{}_count", cache_worker::metrics::ROUND_SECONDS)).await;
    let first_round = async {
        while rounds().await.unwrap_or(0.0) < 1.0 {
            worker.ensure_running()?;
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        anyhow::Ok(())
    };
    let timeout = interval + FIRST_ROUND_TIMEOUT;
    let first_round = tokio::time::timeout(timeout, first_round).await;
    first_round.with_context(|| format!("the cache-worker has no round within {timeout:?}"))??;
    tokio::time::sleep(interval / 2).await;
    let (statements_before, rounds_before) = (statements.count().await?, rounds().await?);
    tokio::time::sleep(length).await;
    let statements_counted = statements.count().await? - statements_before;
    let rounds_counted = rounds().await? - rounds_before;
    let (orders_per_second, peak_memory) = (producer.stop().await?, worker.peak_memory()?);
    tokio::task::spawn_blocking(move || worker.stop()).await??;
    let minutes = length.as_secs_f64() / 60.0;
    Ok(CachedLoad {
        statements_per_minute: statements_counted as f64 / minutes,
        rounds_per_minute: rounds_counted / minutes,
        orders_per_second,
        peak_memory,
    })
}
