//! Reads which orders of a run are in the table.

use anyhow::Context;
use chrono::{DateTime, Utc};
use futures_util::{TryStreamExt, pin_mut};
use roaring::RoaringTreemap;
use shared::order_id::{OrderId, RunTag};
use tokio_postgres::Client;

/// Reads the sequences of the run's orders from the table. An order id begins with its due time, so the run's time is
/// one range of the primary key; within it, `tags` select the orders of the run. Streams the ids, so that memory stays
/// bounded.
///
/// # Errors
/// When the table can't be read.
pub async fn read_sequences(
    client: &Client,
    tags: &[RunTag],
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> anyhow::Result<RoaringTreemap> {
    let range = OrderId::text_range(from, until);
    let query = "SELECT order_id FROM orders WHERE order_id BETWEEN $1 AND $2";
    let rows = client
        .query_raw(query, [range.start(), range.end()])
        .await
        .context("table orders can't be read: run `orderdb migrate up` if it does not exist")?;
    pin_mut!(rows);
    let mut stored = RoaringTreemap::new();
    while let Some(row) = rows.try_next().await.context("table orders could not be read to its end")? {
        if let Ok(id) = row.get::<_, &str>(0).parse::<OrderId>()
            && tags.contains(&id.tag())
        {
            stored.insert(id.sequence().get());
        }
    }
    Ok(stored)
}
