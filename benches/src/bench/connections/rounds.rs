//! The steps of `bench connections`, in order.

use anyhow::Context;
use shared::program::Outcome;
use tokio_util::sync::CancellationToken;

use super::{
    lookups::{time_lookups, user_ids},
    opening::time_opening,
    path::{Path, paths},
    result::{ConnectionsBenchResult, Figures, Round},
};
use crate::{
    bench::{
        contest::{places, warn_of_incomplete_square},
        environment::BenchEnvironment,
        progress::BenchProgress,
        report::print,
        same_cluster::require_same_cluster,
        sink::consumer::drain,
    },
    dirty_pages::write_dirty_pages,
    settings::ConnectionsBenchSettings,
};

/// Runs the rounds and prints the ratios.
///
/// # Errors
/// When the database, the pooler or a program fails, or on `stop`.
pub async fn bench_connections(
    settings: ConnectionsBenchSettings,
    stop: &CancellationToken,
) -> anyhow::Result<Outcome> {
    require_same_cluster(&settings.services.kafka, &settings.stack).await?;
    warn_of_incomplete_square(settings.rounds, Path::ALL.len());
    let bench = BenchEnvironment::create(&settings.services).await?;
    let measured = stop.run_until_cancelled(measure(&bench, &settings)).await;
    let deleted = bench.delete().await;
    print(&measured.context("interrupted")??, settings.output, ConnectionsBenchResult::to_string)?;
    deleted?;
    Ok(Outcome::Valid)
}

async fn measure(
    bench: &BenchEnvironment,
    settings: &ConnectionsBenchSettings,
) -> anyhow::Result<ConnectionsBenchResult> {
    let paths = paths(bench, &settings.stack).await?;
    tracing::info!("filling a topic with {} orders", settings.orders);
    let topic = bench.fill(&["--rate", "max", "--count", &settings.orders.to_string()]).await?;
    let ids = user_ids(&bench.database).await?;
    let progress = BenchProgress::new((settings.rounds as usize + 1) * paths.len());
    let mut rounds = Vec::new();
    // Round 0 is not measured: it warms up the brokers and the database.
    for number in 0..=settings.rounds {
        let mut round = Round::new();
        for path in places(&Path::ALL, number) {
            progress.begin(number, path.name());
            let reached = paths.iter().find(|reached| reached.path == path).context("every path is reached")?;
            let database = &reached.database;
            write_dirty_pages().await?;
            let open_ms = time_opening(database, settings.connections).await?;
            let lookups = time_lookups(database, &ids, settings.lookup_duration).await?;
            let drained = drain(bench, &topic, &settings.stack, 1, &reached.variables).await;
            let fill = drained.context(path.name())?.fill;
            progress.end(number, path.name(), &format!("opened in {open_ms:.2} ms"), fill.events_per_second);
            round.insert(path, Figures { open_ms, lookup_p50_ms: lookups.p50, lookup_p99_ms: lookups.p99, fill });
        }
        rounds.extend((number > 0).then_some(round));
    }
    progress.finish();
    ConnectionsBenchResult::new(settings.orders, rounds).context("no round was measured")
}
