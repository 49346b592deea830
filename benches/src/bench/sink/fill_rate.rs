//! Throughput of a sink, measured in the table that it fills.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::Serialize;
use shared::database::connect;
use tokio_postgres::Client;

use crate::bench::{
    cpu::{CpuMeter, CpuTime},
    environment::BenchEnvironment,
    filled_topic::FilledTopic,
};

/// Maximum time until a fifth of the rows is stored, and from then on until all are.
const FILL_TIMEOUT: Duration = Duration::from_secs(600);
const START_POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Short, because it limits the precision of the result.
const END_POLL_INTERVAL: Duration = Duration::from_millis(10);

/// What a sink did in its timed part.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Fill {
    pub rows_per_second: f64,
    /// CPU seconds per million rows.
    pub cpu: CpuTime,
}

/// A moment of the timed part.
#[derive(Clone, Copy)]
pub struct Reading {
    pub at: Instant,
    pub rows: u64,
    pub cpu: CpuTime,
}

impl Fill {
    /// # Errors
    /// When no row was stored between the two.
    pub fn between(first: Reading, last: Reading) -> anyhow::Result<Self> {
        let rows = last.rows.saturating_sub(first.rows) as f64;
        ensure!(rows > 0.0, "it is too fast to be timed: use more --orders");
        Ok(Self {
            rows_per_second: rows / last.at.duration_since(first.at).as_secs_f64(),
            cpu: last.cpu.since(first.cpu, rows / 1e6),
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

/// Waits until the table has all orders of `topic`. The measurement begins when a fifth of
/// the rows is stored, so that it contains neither the start of the sink nor the assignment of partitions.
/// `ensure_running` returns an error when the sink has failed.
///
/// # Errors
/// When the sink fails or takes longer than ten minutes, or the table does not have exactly `orders` rows at the end.
pub async fn measure_fill_rate(
    bench: &BenchEnvironment,
    topic: &FilledTopic,
    orders: u64,
    meter: &mut CpuMeter,
    mut ensure_running: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Fill> {
    let client = connect(&bench.database).await?;
    let fifth = orders as i64 / 5;
    let at_most = client.prepare("SELECT count(*) FROM (SELECT FROM orders LIMIT $1) AS head").await?;
    // A few index lookups: counting all rows at each poll would slow down the sink.
    let present = client.prepare("SELECT count(*) FROM orders WHERE order_id = ANY($1)").await?;

    let mut since = Instant::now();
    while client.query_one(&at_most, &[&fifth]).await?.get::<_, i64>(0) < fifth {
        ensure_running()?;
        ensure!(since.elapsed() < FILL_TIMEOUT, "a fifth of the orders is not stored within {FILL_TIMEOUT:?}");
        tokio::time::sleep(START_POLL_INTERVAL).await;
    }
    let (at, cpu) = (Instant::now(), meter.read());
    let first = Reading { at, rows: count_rows(&client).await?, cpu };
    since = Instant::now();
    while client.query_one(&present, &[&topic.last_ids]).await?.get::<_, i64>(0) < topic.last_ids.len() as i64 {
        ensure_running()?;
        ensure!(since.elapsed() < FILL_TIMEOUT, "not all orders are stored within {FILL_TIMEOUT:?}");
        tokio::time::sleep(END_POLL_INTERVAL).await;
    }
    let (at, cpu) = (Instant::now(), meter.read());
    let last = Reading { at, rows: count_rows(&client).await?, cpu };
    ensure!(last.rows == orders, "the table orders has {} rows instead of {orders}", last.rows);
    Fill::between(first, last)
}

/// The rows of the table.
///
/// # Errors
/// When they can't be counted.
pub async fn count_rows(client: &Client) -> anyhow::Result<u64> {
    Ok(client.query_one("SELECT count(*) FROM orders", &[]).await?.get::<_, i64>(0).cast_unsigned())
}
