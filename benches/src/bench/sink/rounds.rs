//! The steps of `bench sink`, in order.

use std::{
    process::{Command, Stdio},
    sync::Arc,
};

use anyhow::{Context, bail};
use serde_json::json;
use shared::program::Outcome;
use tokio_util::sync::CancellationToken;

use super::{
    connector::Setup,
    consumer,
    contestant::Sink,
    copy::copy,
    debezium::{Connect, fill_topic},
    python::{self, Method},
    result::{Round, SinkBenchResult},
    stored_order::{StoredOrder, stored_orders},
};
use crate::{
    bench::{
        contest::places, environment::BenchEnvironment, filled_topic::FilledTopic, progress::BenchProgress,
        report::print,
    },
    interruptible::run_to_end,
    settings::SinkBenchSettings,
};

/// Orders for the consumer that stores one at a time, some hundred a second.
const FEW_ORDERS: usize = 5_000;

/// Runs the rounds and prints the ratios.
///
/// # Errors
/// When a sink fails, or does not store every order exactly once, or on `stop`.
pub async fn bench_sink(settings: SinkBenchSettings, stop: &CancellationToken) -> anyhow::Result<Outcome> {
    stop.run_until_cancelled(install_peers(&settings)).await.context("interrupted")??;
    let mut bench = BenchEnvironment::create(&settings.services).await?;
    let measured = stop.run_until_cancelled(measure(&mut bench, &settings)).await;
    let deleted = bench.delete().await;
    print(&measured.context("interrupted")??, settings.output, SinkBenchResult::to_string)?;
    deleted?;
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
    let (rounds, peak_memory) = rounds?;
    stopped?;
    let few = fill_topic(bench, "few", &rows[..FEW_ORDERS], |order| json!(order).to_string()).await?;
    let one_by_one = python::drain(bench, &few, settings, FEW_ORDERS as u64, Method::OneByOne).await?;
    SinkBenchResult::new(settings.orders, rounds, one_by_one, peak_memory).context("no round was measured")
}

async fn run_rounds(
    bench: &BenchEnvironment,
    settings: &SinkBenchSettings,
    topic: &FilledTopic,
    rows: &Arc<Vec<StoredOrder>>,
    connect: &mut Connect,
) -> anyhow::Result<(Vec<Round>, u64)> {
    let progress = BenchProgress::new((settings.rounds as usize + 1) * Sink::ALL.len());
    let (mut rounds, mut peak_memory) = (Vec::new(), 0);
    let orders = settings.orders;
    // Round 0 is not measured: it warms up Debezium, whose JVM compiles its code while it works.
    for number in 0..=settings.rounds {
        let mut round = Round::new();
        for sink in places(&Sink::ALL, number) {
            progress.begin(number, sink.name());
            let python = |method| python::drain(bench, topic, settings, orders, method);
            let mut consumers = async |instances| {
                let drained = consumer::drain(bench, topic, orders, instances).await?;
                peak_memory = peak_memory.max(drained.peak_memory);
                anyhow::Ok(drained.rows_per_second)
            };
            let drained = match sink {
                Sink::Consumer | Sink::ConsumerAgain => consumers(1).await,
                Sink::ThreeConsumers => consumers(3).await,
                Sink::Debezium => connect.drain(bench, orders, Setup::Default).await,
                Sink::DebeziumTuned => connect.drain(bench, orders, Setup::Tuned).await,
                Sink::PythonPipeline => python(Method::Pipeline).await,
                Sink::PythonCopy => python(Method::Copy).await,
                Sink::Copy => copy(bench, rows).await,
            };
            let rows_per_second = drained.context(sink.name())?;
            progress.end(number, sink.name(), "", rows_per_second);
            round.insert(sink, rows_per_second);
        }
        rounds.extend((number > 0).then_some(round));
    }
    progress.finish();
    Ok((rounds, peak_memory))
}
