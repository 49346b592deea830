//! The steps of `bench indexes`, in order.

use anyhow::Context;
use shared::{database::connect, program::Outcome};
use tokio_util::sync::CancellationToken;

use super::{
    result::{Figures, IndexBenchResult, Round},
    set::IndexSet,
};
use crate::{
    bench::{
        contest::{places, warn_of_incomplete_square},
        environment::BenchEnvironment,
        filled_topic::FilledTopic,
        progress::BenchProgress,
        report::print,
        same_cluster::require_same_cluster,
        sink::consumer::drain,
    },
    dirty_pages::write_dirty_pages,
    settings::IndexBenchSettings,
};

/// Runs the rounds and prints the ratios.
///
/// # Errors
/// When the database or a program fails, or on `stop`.
pub async fn bench_indexes(settings: IndexBenchSettings, stop: &CancellationToken) -> anyhow::Result<Outcome> {
    require_same_cluster(&settings.services.kafka, &settings.stack).await?;
    warn_of_incomplete_square(settings.rounds, IndexSet::ALL.len());
    let bench = BenchEnvironment::create(&settings.services).await?;
    let measured = stop.run_until_cancelled(measure(&bench, &settings)).await;
    let deleted = bench.delete().await;
    print(&measured.context("interrupted")??, settings.output, IndexBenchResult::to_string)?;
    deleted?;
    Ok(Outcome::Valid)
}

async fn measure(bench: &BenchEnvironment, settings: &IndexBenchSettings) -> anyhow::Result<IndexBenchResult> {
    tracing::info!("filling a topic with {} orders", settings.orders);
    let topic = bench.fill(&["--rate", "max", "--count", &settings.orders.to_string()]).await?;
    let progress = BenchProgress::new((settings.rounds as usize + 1) * IndexSet::ALL.len());
    let mut rounds = Vec::new();
    // Round 0 is not measured: it warms up the brokers and the database.
    for number in 0..=settings.rounds {
        let mut round = Round::new();
        for set in places(&IndexSet::ALL, number) {
            progress.begin(number, set.name());
            let figures = store(bench, settings, &topic, set).await.with_context(|| set.name())?;
            progress.end(number, set.name(), "", figures.fill.events_per_second);
            round.insert(set, figures);
        }
        rounds.extend((number > 0).then_some(round));
    }
    progress.finish();
    IndexBenchResult::new(settings.orders, rounds).context("no round was measured")
}

/// Stores the orders in a table with these indexes, which has none afterwards.
async fn store(
    bench: &BenchEnvironment,
    settings: &IndexBenchSettings,
    topic: &FilledTopic,
    set: IndexSet,
) -> anyhow::Result<Figures> {
    let names = set.indexes();
    if !names.is_empty() {
        bench.run("orderdb", &[&["index", "create"], names].concat()).await?;
    }
    write_dirty_pages().await?;
    let fill = drain(bench, topic, &settings.stack, 1, &[]).await?.fill;
    let query = "SELECT coalesce(sum(pg_relation_size(oid)), 0)::bigint FROM pg_class WHERE relname = ANY($1)";
    let bytes: i64 = connect(&bench.database).await?.query_one(query, &[&names]).await?.get(0);
    if !names.is_empty() {
        bench.run("orderdb", &[&["index", "drop"], names].concat()).await?;
    }
    Ok(Figures { fill, bytes_per_order: bytes as f64 / settings.orders as f64 })
}
