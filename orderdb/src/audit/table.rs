//! Which of a run's orders the table has.

use anyhow::Context;
use chrono::{DateTime, Utc};
use futures_util::{TryStreamExt, pin_mut};
use roaring::RoaringTreemap;
use shared::{ledger::Run, order_id::OrderId};
use tokio_postgres::Client;

/// The sequences of the run's orders that are stored: the ids due since the run's start are one range of the primary
/// key, and those with the run's tag are its own. Streams the ids, so that memory stays flat.
///
/// # Errors
/// When the table can't be read.
pub async fn stored_sequences(client: &Client, run: &Run, until: DateTime<Utc>) -> anyhow::Result<RoaringTreemap> {
    let range = OrderId::text_range(run.started_at, until);
    let query = "SELECT order_id FROM orders WHERE order_id BETWEEN $1 AND $2";
    let rows = client
        .query_raw(query, [range.start(), range.end()])
        .await
        .context("the orders can't be read: is the schema there (orderdb migrate up)?")?;
    pin_mut!(rows);
    let mut stored = RoaringTreemap::new();
    while let Some(row) = rows.try_next().await.context("reading the orders broke off")? {
        if let Ok(id) = row.get::<_, &str>(0).parse::<OrderId>()
            && id.tag() == run.tag
        {
            stored.insert(id.sequence().get());
        }
    }
    Ok(stored)
}
