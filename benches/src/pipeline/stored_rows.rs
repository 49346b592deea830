//! Rows of a run, read back from the table to show what is stored.

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde::Serialize;
use shared::{
    database::{DatabaseSettings, connect},
    ledger::{RunId, RunsFolder},
    order_id::{OrderId, RunTag},
};
use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};

/// Rows that are read at a time, so that the index is used and the rest of the table is not read.
const PAGE: i64 = 1_000;

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

/// The first `count` rows of the run that are stored. Other runs may have stored orders at the same time: the tags of
/// the run select its own.
///
/// # Errors
/// When the ledger or the table can't be read.
pub async fn stored_rows(
    database: &DatabaseSettings,
    runs: &RunsFolder,
    run_id: &RunId,
    count: usize,
) -> anyhow::Result<Vec<StoredRow>> {
    let ledgers = runs.read(run_id)?;
    let tags: Vec<RunTag> = ledgers.iter().map(|ledger| ledger.run.tag).collect();
    let from = ledgers.iter().map(|ledger| ledger.run.started_at).min().unwrap_or_default();
    let (mut after, until) = OrderId::text_range(from, Utc::now().max(from)).into_inner();
    let query = "SELECT order_id, user_id, product_id, quantity, total_amount, category, \
                 user_region, user_gender, user_age_group, created_at \
                 FROM orders WHERE order_id > $1 AND order_id <= $2 ORDER BY order_id LIMIT $3";
    let client = connect(database).await?;
    let is_of_run = |row: &&Row| row.get::<_, &str>(0).parse::<OrderId>().is_ok_and(|id| tags.contains(&id.tag()));
    let mut stored = Vec::new();
    loop {
        let bounds: [(&(dyn ToSql + Sync), Type); 3] =
            [(&after, Type::TEXT), (&until, Type::TEXT), (&PAGE, Type::INT8)];
        let page = client.query_typed(query, &bounds).await.context("the table orders can't be read")?;
        stored.extend(page.iter().filter(is_of_run).map(stored_row));
        match page.last() {
            Some(last) if stored.len() < count => after = last.get(0),
            _ => break,
        }
    }
    stored.truncate(count);
    Ok(stored)
}

fn stored_row(row: &Row) -> StoredRow {
    StoredRow {
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
    }
}
