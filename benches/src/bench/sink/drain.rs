//! How fast a table is filled, seen from the table.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use shared::database::connect;

use crate::bench::corner::{Corner, Source};

/// Longest time that a contestant may take to begin, and then to end.
const PATIENCE: Duration = Duration::from_secs(600);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Empties the table, so that each finds it as the others did.
///
/// # Errors
/// When the database doesn't.
pub async fn empty_table(corner: &Corner) -> anyhow::Result<()> {
    let client = connect(&corner.database).await?;
    client.batch_execute("TRUNCATE orders").await.context("the table can't be emptied")?;
    // What the one before has left to write would be written at the expense of this one. It takes a privilege.
    let _ = client.batch_execute("CHECKPOINT").await;
    Ok(())
}

/// Waits until the table has all of `source`'s orders and gives rows a second, from when a fifth of them is there: how long a
/// program takes to start, and a group to share its partitions, is not what is measured. `check` says when the contestant
/// has failed.
///
/// # Errors
/// When it has, or takes too long, or the table has not exactly `orders` rows in the end.
pub async fn watch(
    corner: &Corner,
    source: &Source,
    orders: u64,
    mut check: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<f64> {
    let client = connect(&corner.database).await?;
    let count = async || anyhow::Ok(client.query_one("SELECT count(*) FROM orders", &[]).await?.get::<_, i64>(0));
    let head = client.prepare("SELECT count(*) FROM (SELECT FROM orders LIMIT $1) AS head").await?;
    let fifth = orders as i64 / 5;
    // Some index lookups: to count the rows again and again would cost what is being measured.
    let there = client.prepare("SELECT count(*) FROM orders WHERE order_id = ANY($1)").await?;
    let mut waiting = Instant::now();
    while client.query_one(&head, &[&fifth]).await?.get::<_, i64>(0) < fifth {
        check()?;
        ensure!(waiting.elapsed() < PATIENCE, "a fifth of the rows is not stored within {PATIENCE:?}");
        tokio::time::sleep(10 * LOOK_EVERY).await;
    }
    let (started, before) = (Instant::now(), count().await?);
    waiting = Instant::now();
    while client.query_one(&there, &[&source.last]).await?.get::<_, i64>(0) < source.last.len() as i64 {
        check()?;
        ensure!(waiting.elapsed() < PATIENCE, "not all rows are stored within {PATIENCE:?}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let took = started.elapsed();
    let all = count().await?;
    ensure!(all == orders as i64, "{all} rows are stored instead of {orders}");
    Ok((all - before) as f64 / took.as_secs_f64())
}
