//! The orders of dead letters that are in the table.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, bail};
use shared::database::{DatabaseSettings, connect};
use tokio_postgres::types::Type;

use crate::model::StoredOrder;

/// Maximum number of orders that one query looks up.
const LOOKUP_BATCH: usize = 5_000;
/// Timeout of a query (invariant 12).
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(30);

/// Rows of the table, by order id.
#[derive(Debug, Default)]
pub struct StoredOrders(HashMap<String, StoredOrder>);

impl StoredOrders {
    /// Looks up the orders with these ids.
    ///
    /// # Errors
    /// When the table can't be read, or is locked for longer than [`LOOKUP_TIMEOUT`].
    pub async fn read(database: &DatabaseSettings, ids: &[&str]) -> anyhow::Result<Self> {
        let client = connect(database).await?;
        let query = "SELECT order_id, user_id, product_id, quantity, total_amount, shipping_cost, discount_amount, \
                     payment_method, status, created_at FROM orders WHERE order_id = ANY($1)";
        let mut orders = HashMap::new();
        for batch in ids.chunks(LOOKUP_BATCH) {
            let Ok(rows) =
                tokio::time::timeout(LOOKUP_TIMEOUT, client.query_typed(query, &[(&batch, Type::TEXT_ARRAY)])).await
            else {
                bail!(
                    "no answer from database {database} within {LOOKUP_TIMEOUT:?}: another session may have locked \
                     table orders (see pg_stat_activity)"
                );
            };
            let rows = rows.context("the orders can't be looked up")?;
            for row in &rows {
                let (id, order) = StoredOrder::of_row(row)?;
                orders.insert(id, order);
            }
        }
        Ok(Self(orders))
    }

    pub fn get(&self, id: &str) -> Option<&StoredOrder> {
        self.0.get(id)
    }
}
