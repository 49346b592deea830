//! The steps of `bench sink`, in order.

use std::{
    process::{Command, Stdio},
    sync::Arc,
};

use anyhow::{Context, bail};
use shared::program::Outcome;
use tokio_util::sync::CancellationToken;

use super::{
    connector::Setup,
    consumer,
    copy::copy,
    debezium::Connect,
    python_batch,
    result::{BenchRound, SinkBenchResult, report},
    stored_order::{StoredOrder, stored_orders},
};
use crate::{
    bench::{environment::BenchEnvironment, filled_topic::FilledTopic, report::print},
    interruptible::run_to_end,
    settings::SinkBenchSettings,
};

/// Sinks that are measured in a round.
const SINKS: u32 = 6;

/// Runs the rounds and prints the ratios.
///
/// # Errors
/// When a sink fails, or does not store every order exactly once, or on `stop`.
pub async fn bench_sink(settings: SinkBenchSettings, stop: &CancellationToken) -> anyhow::Result<Outcome> {
    stop.run_until_cancelled(install_peers(&settings)).await.context("interrupted")??;
    let mut bench = BenchEnvironment::create(&settings.services).await?;
    let measured = stop.run_until_cancelled(measure(&mut bench, &settings)).await;
    let deleted = bench.delete().await;
    let result = measured.context("interrupted")??;
    deleted?;
    print(&result, settings.output, report)?;
    Ok(Outcome::Valid)
}

async fn install_peers(settings: &SinkBenchSettings) -> anyhow::Result<()> {
    let script = settings.peers.join("install");
    let mut install = Command::new(&script);
    install.stdout(Stdio::null());
    if !run_to_end(&script.display().to_string(), install).await?.status.success() {
        bail!("{} failed: its error is in the log above", script.display());
    }
    Ok(())
}

async fn measure(bench: &mut BenchEnvironment, settings: &SinkBenchSettings) -> anyhow::Result<SinkBenchResult> {
    tracing::info!("filling a topic with {} orders, and two more for Debezium", settings.orders);
    let topic = bench.fill(settings.orders).await?;
    // Warms up brokers and database, and stores the enriched rows that Debezium and COPY get.
    consumer::drain(bench, &topic, settings.orders, 1).await?;
    let rows = Arc::new(stored_orders(&bench.database).await?);
    let mut connect = Connect::start(bench, settings, &rows).await?;
    let rounds = run_rounds(bench, settings, &topic, &rows, &mut connect).await;
    let stopped = connect.stop().await;
    let rounds = rounds?;
    stopped?;
    Ok(SinkBenchResult::new(settings.orders, rounds))
}

async fn run_rounds(
    bench: &BenchEnvironment,
    settings: &SinkBenchSettings,
    topic: &FilledTopic,
    rows: &Arc<Vec<StoredOrder>>,
    connect: &mut Connect,
) -> anyhow::Result<Vec<BenchRound>> {
    let mut rounds = Vec::new();
    // Round 0 is not measured: it warms up Debezium, whose JVM compiles its code while it works.
    for number in 0..=settings.rounds {
        let round = run_round(bench, settings, topic, rows, connect, number).await?;
        tracing::info!("round {number}: {round:?}");
        rounds.extend((number > 0).then_some(round));
    }
    Ok(rounds)
}

/// Runs each sink once. The order rotates with the number of the round.
async fn run_round(
    bench: &BenchEnvironment,
    settings: &SinkBenchSettings,
    topic: &FilledTopic,
    rows: &Arc<Vec<StoredOrder>>,
    connect: &mut Connect,
    number: u32,
) -> anyhow::Result<BenchRound> {
    let (mut round, orders) = (BenchRound::default(), settings.orders);
    for position in 0..SINKS {
        match (position + number) % SINKS {
            0 => {
                let drained = consumer::drain(bench, topic, orders, 1).await?;
                round.one_consumer = drained.rows_per_second;
                round.peak_memory = round.peak_memory.max(drained.peak_memory);
            }
            1 => round.debezium = connect.drain(bench, orders, Setup::Default).await.context("Debezium")?,
            2 => round.copy = copy(bench, rows).await?,
            3 => {
                let drained = consumer::drain(bench, topic, orders, 3).await?;
                round.three_consumers = drained.rows_per_second;
                round.peak_memory = round.peak_memory.max(drained.peak_memory);
            }
            4 => round.debezium_tuned = connect.drain(bench, orders, Setup::Tuned).await.context("Debezium, tuned")?,
            _ => round.python_batch = python_batch::drain(bench, topic, settings).await.context("Python")?,
        }
    }
    Ok(round)
}
