//! The steps of `bench sink`, in order.

use std::sync::Arc;

use anyhow::Context;
use serde_json::json;
use shared::program::Outcome;
use tokio_util::sync::CancellationToken;

use super::{
    consumer,
    contestant::Sink,
    copy::copy,
    debezium::{Debezium, fill_topic},
    python::{self, Method},
    result::{Round, SinkBenchResult},
    stored_order::{StoredOrder, stored_orders},
};
use crate::{
    bench::{
        compiler::warn_of_quick_compiler,
        connector::Setup,
        contest::{places, warn_of_incomplete_square},
        environment::BenchEnvironment,
        filled_topic::FilledTopic,
        peers::install_peers,
        plaintext::require_plaintext,
        progress::BenchProgress,
        report::print,
        same_cluster::require_same_cluster,
    },
    dirty_pages::write_dirty_pages,
    settings::SinkBenchSettings,
};

/// Orders for the consumer that stores one at a time, some hundred a second.
const FEW_ORDERS: usize = 5_000;

/// Runs the rounds and prints the ratios.
///
/// # Errors
/// When a sink fails, or does not store every order exactly once, or on `stop`.
pub async fn bench_sink(settings: SinkBenchSettings, stop: &CancellationToken) -> anyhow::Result<Outcome> {
    require_plaintext(&settings.services.kafka)?;
    require_same_cluster(&settings.services.kafka, &settings.stack).await?;
    warn_of_incomplete_square(settings.rounds, Sink::ALL.len());
    warn_of_quick_compiler(&settings.stack);
    stop.run_until_cancelled(install_peers(&settings.peers)).await.context("interrupted")??;
    let mut bench = BenchEnvironment::create(&settings.services).await?;
    let measured = stop.run_until_cancelled(measure(&mut bench, &settings)).await;
    let deleted = bench.delete().await;
    print(&measured.context("interrupted")??, settings.output, SinkBenchResult::to_string)?;
    deleted?;
    Ok(Outcome::Valid)
}

async fn measure(bench: &mut BenchEnvironment, settings: &SinkBenchSettings) -> anyhow::Result<SinkBenchResult> {
    tracing::info!("filling a topic with {} orders, and two more for Debezium", settings.orders);
    let topic = bench.fill(settings.orders).await?;
    // Warms up brokers and database, and stores the enriched rows that Debezium and COPY get.
    consumer::drain(bench, &topic, &settings.stack, settings.orders, 1, &[]).await?;
    let rows = Arc::new(stored_orders(&bench.database).await?);
    let mut debezium = Debezium::start(bench, &settings.peers, &rows).await?;
    let rounds = run_rounds(bench, settings, &topic, &rows, &mut debezium).await;
    let stopped = debezium.stop().await;
    let (rounds, peak_memory) = rounds?;
    stopped?;
    let few = fill_topic(bench, "few", &rows[..FEW_ORDERS], |order| json!(order).to_string()).await?;
    let one_by_one = python::drain(bench, &few, settings, FEW_ORDERS as u64, Method::OneByOne).await?;
    SinkBenchResult::new(settings.orders, rounds, one_by_one.rows_per_second, peak_memory)
        .context("no round was measured")
}

async fn run_rounds(
    bench: &BenchEnvironment,
    settings: &SinkBenchSettings,
    topic: &FilledTopic,
    rows: &Arc<Vec<StoredOrder>>,
    debezium: &mut Debezium,
) -> anyhow::Result<(Vec<Round>, u64)> {
    let progress = BenchProgress::new((settings.rounds as usize + 1) * Sink::ALL.len());
    let (mut rounds, mut peak_memory) = (Vec::new(), 0);
    let (orders, stack) = (settings.orders, &settings.stack);
    // Round 0 is not measured: it warms up Debezium, whose JVM compiles its code while it works.
    for number in 0..=settings.rounds {
        let mut round = Round::new();
        for sink in places(&Sink::ALL, number) {
            progress.begin(number, sink.name());
            let python = |method| python::drain(bench, topic, settings, orders, method);
            let mut consumers = async |instances| {
                let drained = consumer::drain(bench, topic, stack, orders, instances, &[]).await?;
                peak_memory = peak_memory.max(drained.peak_memory);
                anyhow::Ok(drained.fill)
            };
            write_dirty_pages().await?;
            let drained = match sink {
                Sink::Consumer | Sink::ConsumerAgain => consumers(1).await,
                Sink::ThreeConsumers => consumers(3).await,
                Sink::Debezium => debezium.drain(bench, stack, orders, Setup::Default).await,
                Sink::DebeziumTuned => debezium.drain(bench, stack, orders, Setup::Tuned).await,
                Sink::PythonUnnest => python(Method::Unnest).await,
                Sink::PythonCopy => python(Method::Copy).await,
                Sink::Copy => copy(bench, stack, rows).await,
            };
            let fill = drained.context(sink.name())?;
            progress.end(number, sink.name(), "", fill.rows_per_second);
            round.insert(sink, fill);
        }
        rounds.extend((number > 0).then_some(round));
    }
    progress.finish();
    Ok((rounds, peak_memory))
}
