//! Throughput of a sink, measured in the table that it fills. An event is an order, or a change of its status: the
//! table has applied as many as it has orders, and as their sequences add up to.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::Serialize;
use shared::database::connect;
use tokio_postgres::Client;

use crate::bench::{
    cpu::{CpuMeter, CpuTime},
    environment::BenchEnvironment,
    filled_topic::{FilledTopic, LastEvents},
};

/// Maximum time until a fifth of the rows is stored, and from then on until all are.
const FILL_TIMEOUT: Duration = Duration::from_secs(600);
const START_POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Short, because it limits the precision of the result.
const END_POLL_INTERVAL: Duration = Duration::from_millis(10);

/// What a sink did in its timed part.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Fill {
    pub events_per_second: f64,
    /// CPU seconds per million events.
    pub cpu: CpuTime,
}

/// A moment of the timed part.
#[derive(Clone, Copy)]
pub struct Reading {
    pub at: Instant,
    pub events: u64,
    pub cpu: CpuTime,
}

impl Fill {
    /// # Errors
    /// When no event was stored between the two.
    pub fn between(first: Reading, last: Reading) -> anyhow::Result<Self> {
        let events = last.events.saturating_sub(first.events) as f64;
        ensure!(events > 0.0, "it is too fast to be timed: use more --orders");
        Ok(Self {
            events_per_second: events / last.at.duration_since(first.at).as_secs_f64(),
            cpu: last.cpu.since(first.cpu, events / 1e6),
        })
    }
}

/// Empties the table, so that every sink starts with an empty one.
///
/// # Errors
/// When the table can't be emptied.
pub async fn empty_table(bench: &BenchEnvironment) -> anyhow::Result<()> {
    let client = connect(&bench.database).await?;
    client.batch_execute("TRUNCATE order_events, orders").await.context("the table orders can't be emptied")?;
    // Otherwise the dirty pages of the previous sink are written while this one is measured. A user without the
    // privilege gets an error here, and a less precise result.
    let _ = client.batch_execute("CHECKPOINT").await;
    Ok(())
}

/// Waits until the table has all events of `topic`. The measurement begins when a fifth of
/// them is stored, so that it contains neither the start of the sink nor the assignment of partitions.
/// `ensure_running` returns an error when the sink has failed.
///
/// # Errors
/// When the sink fails or takes longer than ten minutes, or the table does not have exactly the events of the topic at
/// the end.
pub async fn measure_fill_rate(
    bench: &BenchEnvironment,
    topic: &FilledTopic,
    meter: &mut CpuMeter,
    mut ensure_running: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Fill> {
    let client = connect(&bench.database).await?;
    let events = topic.events;
    // A few index lookups: counting all events at each poll would slow down the sink.
    let present = client
        .prepare(
            "SELECT count(*) FROM UNNEST($1::text[], $2::int[]) AS last (order_id, sequence) \
             JOIN orders USING (order_id) WHERE status_sequence >= sequence",
        )
        .await?;

    let mut since = Instant::now();
    while count_events(&client).await? < events / 5 {
        ensure_running()?;
        ensure!(since.elapsed() < FILL_TIMEOUT, "a fifth of the events is not stored within {FILL_TIMEOUT:?}");
        tokio::time::sleep(START_POLL_INTERVAL).await;
    }
    let (at, cpu) = (Instant::now(), meter.read());
    let first = Reading { at, events: count_events(&client).await?, cpu };
    since = Instant::now();
    let LastEvents { order_ids, sequences } = &topic.last;
    while client.query_one(&present, &[order_ids, sequences]).await?.get::<_, i64>(0) < order_ids.len() as i64 {
        ensure_running()?;
        ensure!(since.elapsed() < FILL_TIMEOUT, "not all events are stored within {FILL_TIMEOUT:?}");
        tokio::time::sleep(END_POLL_INTERVAL).await;
    }
    let (at, cpu) = (Instant::now(), meter.read());
    let last = Reading { at, events: count_events(&client).await?, cpu };
    ensure!(last.events == events, "the table orders has {} events instead of {events}", last.events);
    Fill::between(first, last)
}

/// The events that the table has applied: its orders and their changes.
///
/// # Errors
/// When they can't be counted.
pub async fn count_events(client: &Client) -> anyhow::Result<u64> {
    let query = "SELECT count(*) + coalesce(sum(status_sequence), 0) FROM orders";
    Ok(client.query_one(query, &[]).await?.get::<_, i64>(0).cast_unsigned())
}
