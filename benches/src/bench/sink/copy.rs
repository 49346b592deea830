//! PostgreSQL's own `COPY` of the same rows. As in the consumer: the client library (tokio-postgres), the number of
//! connections, the batch size, and a commit after each batch. `COPY` neither reads from Kafka nor enriches, and it is
//! not idempotent.

use std::{sync::Arc, time::Instant};

use anyhow::{Context, ensure};
use shared::database::connect;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_postgres::{Client, binary_copy::BinaryCopyInWriter};

use super::{
    fill_rate::{Fill, Reading, count_events, empty_table},
    stored_order::{COLUMNS, StoredOrder},
};
use crate::{
    bench::{cpu::CpuMeter, environment::BenchEnvironment},
    settings::BenchStackSettings,
};

/// The number of connections of one consumer.
const CONNECTIONS: usize = 3;
/// Maximum batch size of a consumer.
const BATCH: usize = 3_000;

/// Copies the rows into the emptied table. The timed part is that of the other sinks: from a fifth of the rows on.
///
/// # Errors
/// When a `COPY` fails.
pub async fn copy(
    bench: &BenchEnvironment,
    stack: &BenchStackSettings,
    rows: &Arc<Vec<StoredOrder>>,
) -> anyhow::Result<Fill> {
    empty_table(bench).await?;
    // This process sends the rows.
    let mut meter = CpuMeter::new([std::process::id()], stack)?;
    let (sender, mut batches) = mpsc::unbounded_channel();
    let mut copying = JoinSet::new();
    for number in 0..CONNECTIONS {
        let (client, rows, sender) = (connect(&bench.database).await?, rows.clone(), sender.clone());
        copying.spawn(async move {
            // The batches alternate between the connections, so that all of them insert at the right edge of the index,
            // as consumers do.
            for batch in rows.chunks(BATCH).skip(number).step_by(CONNECTIONS) {
                copy_batch(&client, batch).await.context("COPY into the table orders failed")?;
                sender.send(batch.len() as u64)?;
            }
            // Open until the last reading: the CPU time of a backend that just ends may be read twice.
            anyhow::Ok(client)
        });
    }
    drop(sender);
    let mut read = |events| Reading { at: Instant::now(), events, cpu: meter.read() };
    let (mut copied, mut first) = (0, None);
    while let Some(batch) = batches.recv().await {
        copied += batch;
        if copied >= rows.len() as u64 / 5 {
            first.get_or_insert_with(|| read(copied));
        }
    }
    let last = read(copied);
    while let Some(copying) = copying.join_next().await {
        copying??;
    }
    let stored = count_events(&connect(&bench.database).await?).await?;
    ensure!(stored == rows.len() as u64, "COPY stored {stored} rows instead of {}", rows.len());
    Fill::between(first.context("COPY stored nothing")?, last)
}

async fn copy_batch(client: &Client, rows: &[StoredOrder]) -> Result<(), tokio_postgres::Error> {
    let sink = client.copy_in(&format!("COPY orders ({COLUMNS}) FROM STDIN BINARY")).await?;
    let mut writer = std::pin::pin!(BinaryCopyInWriter::new(sink, &StoredOrder::types()));
    for row in rows {
        writer.as_mut().write(&row.values()).await?;
    }
    writer.finish().await.map(drop)
}
