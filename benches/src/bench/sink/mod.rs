//! Our consumer against what others store orders with, all from one topic (Debezium from its own copies of it) into the same
//! table with both of its foreign keys.

mod copy;
mod debezium;
mod drain;
mod ours;
mod python;

use std::{process::Stdio, sync::Arc};

use anyhow::{Context, bail};
use serde::Serialize;
use shared::{program::Outcome, report::Report};
use tokio_util::sync::CancellationToken;

use self::{
    copy::{StoredOrder, copy, stored_orders},
    debezium::{Connect, Setup},
};
use super::{corner::Corner, median, print};
use crate::settings::SinkBenchSettings;

/// Who takes part.
const CONTESTANTS: u32 = 6;

/// Rows a second of each, in one round.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Round {
    one_consumer: f64,
    three_consumers: f64,
    debezium: f64,
    debezium_tuned: f64,
    python_batch: f64,
    copy: f64,
    /// The most memory that an instance of ours had, in bytes.
    peak_memory: u64,
}

/// Speed of one consumer of ours, which has three connections as Debezium and `COPY` have, over the others': medians of the
/// rounds' ratios.
#[derive(Clone, Copy, Debug, Serialize)]
struct Ratios {
    debezium: f64,
    debezium_tuned: f64,
    python_batch: f64,
    copy: f64,
}

#[derive(Debug, Serialize)]
struct Result {
    orders: u64,
    rounds: Vec<Round>,
    ratios: Ratios,
}

/// Runs the rounds and prints the ratios.
///
/// # Errors
/// When a contestant fails, or does not store every order once, or at a `stop`.
pub async fn bench_sink(settings: SinkBenchSettings, stop: &CancellationToken) -> anyhow::Result<Outcome> {
    install_peers(&settings).await?;
    let mut corner = Corner::make(&settings.services).await?;
    let measured = stop.run_until_cancelled(measure(&mut corner, &settings)).await;
    let cleaned = corner.clean().await;
    let result = measured.context("interrupted")??;
    cleaned?;
    print(&result, settings.output, report)?;
    Ok(Outcome::Valid)
}

async fn install_peers(settings: &SinkBenchSettings) -> anyhow::Result<()> {
    let script = settings.peers.join("install");
    let mut install = tokio::process::Command::new(&script);
    let status = install.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true).status().await;
    if !status.with_context(|| format!("{} can't be run", script.display()))?.success() {
        bail!("{} failed: see what it said above", script.display());
    }
    Ok(())
}

async fn measure(corner: &mut Corner, settings: &SinkBenchSettings) -> anyhow::Result<Result> {
    tracing::info!("filling a topic with {} orders, and two more for Debezium", settings.orders);
    corner.fill(settings.orders).await?;
    // Stored once beforehand, which warms up brokers and database, and makes the rows that the others are given.
    ours::drain(corner, settings.orders, 1).await?;
    let rows = Arc::new(stored_orders(&corner.database).await?);
    let mut connect = Connect::start(corner, settings, &rows).await?;
    let mut rounds = Vec::new();
    let mut failed = Ok(());
    // The first round warms up Debezium, whose machine compiles its code as it goes.
    for number in 0..=settings.rounds {
        match round(corner, settings, &rows, &mut connect, number).await {
            Ok(round) => {
                tracing::info!("round {number}: {round:?}");
                rounds.extend((number > 0).then_some(round));
            }
            Err(error) => {
                failed = Err(error);
                break;
            }
        }
    }
    let ended = connect.end().await;
    failed.and(ended)?;
    let ratio =
        |other: fn(&Round) -> f64| median(rounds.iter().map(|round| round.one_consumer / other(round)).collect());
    let ratios = Ratios {
        debezium: ratio(|round| round.debezium),
        debezium_tuned: ratio(|round| round.debezium_tuned),
        python_batch: ratio(|round| round.python_batch),
        copy: ratio(|round| round.copy),
    };
    Ok(Result { orders: settings.orders, rounds, ratios })
}

async fn round(
    corner: &Corner,
    settings: &SinkBenchSettings,
    rows: &Arc<Vec<StoredOrder>>,
    connect: &mut Connect,
    number: u32,
) -> anyhow::Result<Round> {
    let (mut round, orders) = (Round::default(), settings.orders);
    for place in 0..CONTESTANTS {
        match (place + number) % CONTESTANTS {
            0 => {
                let drained = ours::drain(corner, orders, 1).await?;
                round.one_consumer = drained.rows_a_second;
                round.peak_memory = round.peak_memory.max(drained.peak_memory);
            }
            1 => round.debezium = connect.drain(corner, orders, Setup::Usual).await.context("Debezium")?,
            2 => round.copy = copy(corner, rows).await?,
            3 => {
                let drained = ours::drain(corner, orders, 3).await?;
                round.three_consumers = drained.rows_a_second;
                round.peak_memory = round.peak_memory.max(drained.peak_memory);
            }
            4 => round.debezium_tuned = connect.drain(corner, orders, Setup::Tuned).await.context("Debezium")?,
            _ => round.python_batch = python::drain(corner, settings).await.context("Python")?,
        }
    }
    Ok(round)
}

fn report(result: &Result) -> Report {
    let mut report = Report::about("sink", &format!("{} orders a round", result.orders));
    let speed = |of: fn(&Round) -> f64| format!("{:.0}/s", median(result.rounds.iter().map(of).collect()));
    let ratios = result.ratios;
    let times = |ratio: f64, what: &str| format!("one consumer is {ratio:.2} ×: {what}");
    report.line("one consumer", speed(|round| round.one_consumer), "three connections; enriches");
    report.line("three consumers", speed(|round| round.three_consumers), "nine connections; enriches");
    let usual = "schema in each record, upserts, three tasks; enriched beforehand";
    report.line("Debezium JDBC sink", speed(|round| round.debezium), times(ratios.debezium, usual));
    let tuned = "the same with UNNEST and a schema in its settings";
    report.line("Debezium, tuned", speed(|round| round.debezium_tuned), times(ratios.debezium_tuned, tuned));
    let python = "one process, confluent-kafka and psycopg; enriches";
    report.line("Python batch consumer", speed(|round| round.python_batch), times(ratios.python_batch, python));
    let copied = "the rows alone, three connections";
    report.line("COPY", speed(|round| round.copy), times(ratios.copy, copied));
    let peak = result.rounds.iter().map(|round| round.peak_memory).max().unwrap_or_default();
    report.line("a consumer's memory", format!("{:.1} MiB", peak as f64 / 1_048_576.0), "the most that one had");
    report
}
