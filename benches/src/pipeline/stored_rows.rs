//! Rows of a run, read back from the table to show what is stored.

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde::Serialize;
use shared::{
    database::{DatabaseSettings, connect},
    ledger::{RunId, RunsFolder},
    order_id::OrderId,
};

/// A stored order.
#[derive(Clone, Debug, Serialize)]
pub struct StoredRow {
    pub order_id: String,
    pub user_id: String,
    pub product_id: String,
    pub quantity: i32,
    pub total_amount: i32,
    pub category: String,
    pub user_region: String,
    pub user_gender: String,
    pub user_age_group: String,
    pub created_at: DateTime<Utc>,
}

/// The first `count` rows of the run that are stored.
///
/// # Errors
/// When the ledger or the table can't be read.
pub async fn stored_rows(
    database: &DatabaseSettings,
    runs: &RunsFolder,
    run_id: &RunId,
    count: i64,
) -> anyhow::Result<Vec<StoredRow>> {
    let ledgers = runs.read(run_id)?;
    let from = ledgers.iter().map(|ledger| ledger.run.started_at).min().unwrap_or_default();
    let range = OrderId::text_range(from, Utc::now());
    let query = "SELECT order_id, user_id, product_id, quantity, total_amount, category, \
                 user_region, user_gender, user_age_group, created_at \
                 FROM orders WHERE order_id BETWEEN $1 AND $2 ORDER BY order_id LIMIT $3";
    let client = connect(database).await?;
    let rows = client.query(query, &[range.start(), range.end(), &count]).await;
    let rows = rows.context("the table orders can't be read")?;
    let stored = rows.iter().map(|row| StoredRow {
        order_id: row.get(0),
        user_id: row.get(1),
        product_id: row.get(2),
        quantity: row.get(3),
        total_amount: row.get(4),
        category: row.get(5),
        user_region: row.get(6),
        user_gender: row.get(7),
        user_age_group: row.get(8),
        created_at: row.get(9),
    });
    Ok(stored.collect())
}
