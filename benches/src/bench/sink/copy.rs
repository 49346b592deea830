//! PostgreSQL's own `COPY` of the same rows: the same client library, as many connections, batches of the same size, a commit
//! after each. It neither reads from Kafka nor enriches, and it can't be repeated safely.

use std::{sync::Arc, time::Instant};

use anyhow::{Context, ensure};
use chrono::{DateTime, Utc};
use serde::Serialize;
use shared::database::{DatabaseSettings, connect};
use tokio::task::JoinSet;
use tokio_postgres::{Row, binary_copy::BinaryCopyInWriter, types::Type};

use super::drain::empty_table;
use crate::bench::corner::Corner;

/// As many as one consumer has writers.
const CONNECTIONS: usize = 3;
/// As many rows as a consumer's batch has at most.
const BATCH: usize = 3_000;

const COLUMNS: &str = "order_id, user_id, product_id, quantity, total_amount, shipping_cost, discount_amount, payment_method, \
                       status, category, user_region, user_gender, user_age_group, created_at";

/// A row of the table; as JSON, what Debezium is given.
#[derive(Clone, Debug, Serialize)]
pub struct StoredOrder {
    /// The key.
    pub order_id: String,
    user_id: String,
    product_id: String,
    quantity: i32,
    total_amount: i32,
    shipping_cost: i32,
    discount_amount: i32,
    payment_method: String,
    status: String,
    category: String,
    user_region: String,
    user_gender: String,
    user_age_group: String,
    created_at: DateTime<Utc>,
}

impl From<&Row> for StoredOrder {
    fn from(row: &Row) -> Self {
        Self {
            order_id: row.get(0),
            user_id: row.get(1),
            product_id: row.get(2),
            quantity: row.get(3),
            total_amount: row.get(4),
            shipping_cost: row.get(5),
            discount_amount: row.get(6),
            payment_method: row.get(7),
            status: row.get(8),
            category: row.get(9),
            user_region: row.get(10),
            user_gender: row.get(11),
            user_age_group: row.get(12),
            created_at: row.get(13),
        }
    }
}

/// All rows of the table.
///
/// # Errors
/// When they can't be read.
pub async fn stored_orders(database: &DatabaseSettings) -> anyhow::Result<Vec<StoredOrder>> {
    let client = connect(database).await?;
    let rows = client.query(&format!("SELECT {COLUMNS} FROM orders ORDER BY order_id"), &[]).await?;
    Ok(rows.iter().map(StoredOrder::from).collect())
}

/// Copies the rows into the emptied table and gives rows a second.
///
/// # Errors
/// When the table does not take them.
pub async fn copy(corner: &Corner, rows: &Arc<Vec<StoredOrder>>) -> anyhow::Result<f64> {
    empty_table(corner).await?;
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(connect(&corner.database).await?);
    }
    let (started, mut copying) = (Instant::now(), JoinSet::new());
    for (number, client) in clients.into_iter().enumerate() {
        let rows = rows.clone();
        copying.spawn(async move {
            // As consumers do, all of them write at the same end of the index.
            for batch in rows.chunks(BATCH).skip(number).step_by(CONNECTIONS) {
                copy_batch(&client, batch).await.context("the table does not take a COPY")?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(copied) = copying.join_next().await {
        copied??;
    }
    let took = started.elapsed();
    let client = connect(&corner.database).await?;
    let all: i64 = client.query_one("SELECT count(*) FROM orders", &[]).await?.get(0);
    ensure!(all == rows.len() as i64, "{all} rows were copied instead of {}", rows.len());
    Ok(rows.len() as f64 / took.as_secs_f64())
}

async fn copy_batch(client: &tokio_postgres::Client, rows: &[StoredOrder]) -> Result<(), tokio_postgres::Error> {
    let mut types = [const { Type::VARCHAR }; 14];
    types[3..7].fill(Type::INT4);
    types[11] = Type::BPCHAR;
    types[13] = Type::TIMESTAMPTZ;
    let sink = client.copy_in(&format!("COPY orders ({COLUMNS}) FROM STDIN BINARY")).await?;
    let mut writer = std::pin::pin!(BinaryCopyInWriter::new(sink, &types));
    for row in rows {
        writer
            .as_mut()
            .write(&[
                &row.order_id,
                &row.user_id,
                &row.product_id,
                &row.quantity,
                &row.total_amount,
                &row.shipping_cost,
                &row.discount_amount,
                &row.payment_method,
                &row.status,
                &row.category,
                &row.user_region,
                &row.user_gender,
                &row.user_age_group,
                &row.created_at,
            ])
            .await?;
    }
    writer.finish().await.map(drop)
}
