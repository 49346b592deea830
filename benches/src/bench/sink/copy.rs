//! PostgreSQL's own `COPY` of the same rows. As in the consumer: the client library (tokio-postgres), the number of
//! connections, the batch size, and a commit after each batch. `COPY` neither reads from Kafka nor enriches, and it is
//! not idempotent.

use std::{sync::Arc, time::Instant};

use anyhow::{Context, ensure};
use shared::database::connect;
use tokio::task::JoinSet;
use tokio_postgres::{Client, binary_copy::BinaryCopyInWriter};

use super::{
    fill_rate::empty_table,
    stored_order::{COLUMNS, StoredOrder},
};
use crate::bench::environment::BenchEnvironment;

/// The number of connections of one consumer.
const CONNECTIONS: usize = 3;
/// Maximum batch size of a consumer.
const BATCH: usize = 3_000;

/// Copies the rows into the emptied table and returns rows per second.
///
/// # Errors
/// When a `COPY` fails.
pub async fn copy(bench: &BenchEnvironment, rows: &Arc<Vec<StoredOrder>>) -> anyhow::Result<f64> {
    empty_table(bench).await?;
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(connect(&bench.database).await?);
    }
    let (started, mut copying) = (Instant::now(), JoinSet::new());
    for (number, client) in clients.into_iter().enumerate() {
        let rows = rows.clone();
        copying.spawn(async move {
            // The batches alternate between the connections, so that all of them insert at the right edge of the index,
            // as consumers do.
            for batch in rows.chunks(BATCH).skip(number).step_by(CONNECTIONS) {
                copy_batch(&client, batch).await.context("COPY into the table orders failed")?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(copied) = copying.join_next().await {
        copied??;
    }
    let took = started.elapsed();
    let client = connect(&bench.database).await?;
    let copied: i64 = client.query_one("SELECT count(*) FROM orders", &[]).await?.get(0);
    ensure!(copied == rows.len() as i64, "COPY stored {copied} rows instead of {}", rows.len());
    Ok(rows.len() as f64 / took.as_secs_f64())
}

async fn copy_batch(client: &Client, rows: &[StoredOrder]) -> Result<(), tokio_postgres::Error> {
    let sink = client.copy_in(&format!("COPY orders ({COLUMNS}) FROM STDIN BINARY")).await?;
    let mut writer = std::pin::pin!(BinaryCopyInWriter::new(sink, &StoredOrder::types()));
    for row in rows {
        writer.as_mut().write(&row.values()).await?;
    }
    writer.finish().await.map(drop)
}
