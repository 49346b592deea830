//! The steps of `bench sink`, in order.

use std::sync::Arc;

use anyhow::{Context, ensure};
use shared::program::Outcome;
use tokio_util::sync::CancellationToken;

use super::{
    consumer,
    contestant::Sink,
    copy::copy,
    debezium::{Debezium, Input, fill_topic},
    flattened::FlattenedEvents,
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

/// Orders a second that are sent with lifecycles. Their changes, up to five seconds later, are among later orders.
const LIFECYCLE_RATE: &str = "20000";
/// Lifecycles that end within seconds, with the default branches.
const LIFECYCLE: &str = include_str!("lifecycle.toml");

/// Runs the rounds and prints the ratios.
///
/// # Errors
/// When a sink fails, or does not store every event exactly once, or on `stop`.
pub async fn bench_sink(settings: SinkBenchSettings, stop: &CancellationToken) -> anyhow::Result<Outcome> {
    require_plaintext(&settings.services.kafka)?;
    require_same_cluster(&settings.services.kafka, &settings.stack).await?;
    warn_of_incomplete_square(settings.rounds, sinks(&settings).len());
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
    let topic = fill(bench, settings).await?;
    // Warms up brokers and database, and stores the enriched rows that Debezium and COPY get.
    consumer::drain(bench, &topic, &settings.stack, 1, &[]).await?;
    let rows = Arc::new(stored_orders(&bench.database).await?);
    let orders = rows.len() as u64;
    ensure!(orders == settings.orders, "the producer sent {orders} orders instead of {}", settings.orders);
    let (kafka, name) = (bench.services.kafka.clone(), &topic.name);
    let events = match settings.lifecycle {
        true => Some(FlattenedEvents::read(&kafka, name, rows.clone()).await?),
        false => None,
    };
    let input = events.as_ref().map_or(Input::Orders(&rows), Input::Events);
    let mut debezium = Debezium::start(bench, &settings.peers, input).await?;
    // They are in the topics now.
    drop(events);
    let rounds = run_rounds(bench, settings, &topic, &rows, &mut debezium).await;
    let stopped = debezium.stop().await;
    let (rounds, peak_memory) = rounds?;
    stopped?;
    let one_by_one = match settings.lifecycle {
        true => None,
        false => {
            let few = fill_topic(bench, "few", Input::Orders(&rows[..FEW_ORDERS]), |value| value).await?;
            Some(python::drain(bench, &few, settings, Method::OneByOne).await?.events_per_second)
        }
    };
    SinkBenchResult::new(orders, topic.events - orders, rounds, one_by_one, peak_memory)
        .context("no round was measured")
}

/// The sinks of a round.
fn sinks(settings: &SinkBenchSettings) -> &'static [Sink] {
    if settings.lifecycle { &Sink::OF_LIFECYCLES } else { &Sink::ALL }
}

async fn fill(bench: &BenchEnvironment, settings: &SinkBenchSettings) -> anyhow::Result<FilledTopic> {
    let count = settings.orders.to_string();
    if !settings.lifecycle {
        return bench.fill(&["--rate", "max", "--count", &count]).await;
    }
    let file = bench.folder.path().join("lifecycle.toml");
    std::fs::write(&file, LIFECYCLE)?;
    let lifecycle = format!("--lifecycle={}", file.display());
    // Late orders don't matter here. The batches are as large as those that Debezium reads.
    let late = ["--catch-up", "1h", "--linger", "500ms"];
    bench.fill(&[&["--rate", LIFECYCLE_RATE, "--count", &count, &lifecycle], &late[..]].concat()).await
}

async fn run_rounds(
    bench: &BenchEnvironment,
    settings: &SinkBenchSettings,
    topic: &FilledTopic,
    rows: &Arc<Vec<StoredOrder>>,
    debezium: &mut Debezium,
) -> anyhow::Result<(Vec<Round>, u64)> {
    let sinks = sinks(settings);
    let progress = BenchProgress::new((settings.rounds as usize + 1) * sinks.len());
    let (mut rounds, mut peak_memory) = (Vec::new(), 0);
    let stack = &settings.stack;
    // Round 0 is not measured: it warms up Debezium, whose JVM compiles its code while it works.
    for number in 0..=settings.rounds {
        let mut round = Round::new();
        for sink in places(sinks, number) {
            progress.begin(number, sink.name());
            let python = |method| python::drain(bench, topic, settings, method);
            let mut consumers = async |instances| {
                let drained = consumer::drain(bench, topic, stack, instances, &[]).await?;
                peak_memory = peak_memory.max(drained.peak_memory);
                anyhow::Ok(drained.fill)
            };
            write_dirty_pages().await?;
            let drained = match sink {
                Sink::Consumer | Sink::ConsumerAgain => consumers(1).await,
                Sink::ThreeConsumers => consumers(3).await,
                Sink::Debezium => debezium.drain(bench, stack, Setup::Default).await,
                Sink::DebeziumTuned => debezium.drain(bench, stack, Setup::Tuned).await,
                Sink::PythonUnnest => python(Method::Unnest).await,
                Sink::PythonCopy => python(Method::Copy).await,
                Sink::Copy => copy(bench, stack, rows).await,
            };
            let fill = drained.context(sink.name())?;
            progress.end(number, sink.name(), "", fill.events_per_second);
            round.insert(sink, fill);
        }
        rounds.extend((number > 0).then_some(round));
    }
    progress.finish();
    Ok((rounds, peak_memory))
}
