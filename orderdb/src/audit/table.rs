//! Which of a run's orders the table has.

use anyhow::Context;
use chrono::{DateTime, Utc};
use futures_util::{TryStreamExt, pin_mut};
use roaring::RoaringTreemap;
use shared::order_id::{OrderId, RunTag};
use tokio_postgres::Client;

/// The sequences of the run's orders that are stored: the ids due in its time are one range of the primary key, and those
/// with one of the run's tags are its own. Streams the ids, so that memory stays flat.
///
/// # Errors
/// When the table can't be read.
pub async fn stored_sequences(
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
        .context("the orders can't be read: is the schema there (orderdb migrate up)?")?;
    pin_mut!(rows);
    let mut stored = RoaringTreemap::new();
    while let Some(row) = rows.try_next().await.context("reading the orders broke off")? {
        if let Ok(id) = row.get::<_, &str>(0).parse::<OrderId>()
            && tags.contains(&id.tag())
        {
            stored.insert(id.sequence().get());
        }
    }
    Ok(stored)
}
