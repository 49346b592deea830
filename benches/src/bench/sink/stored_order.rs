//! The rows of the table, with the enriched columns: the input of the sinks that do not enrich.

use chrono::{DateTime, Utc};
use serde::Serialize;
use shared::database::{DatabaseSettings, connect};
use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};

/// The columns of the table, in the order of [`StoredOrder::values`].
pub const COLUMNS: &str = "order_id, user_id, product_id, quantity, total_amount, shipping_cost, discount_amount, \
                           payment_method, status, category, user_region, user_gender, user_age_group, created_at";
const COUNT: usize = 14;

/// A row of the table. Its JSON is the value of Debezium's records.
#[derive(Clone, Debug, Serialize)]
pub struct StoredOrder {
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

impl StoredOrder {
    /// The PostgreSQL types of [`COLUMNS`].
    pub fn types() -> [Type; COUNT] {
        let mut types = [const { Type::VARCHAR }; COUNT];
        types[3..7].fill(Type::INT4);
        types[11] = Type::BPCHAR;
        types[13] = Type::TIMESTAMPTZ;
        types
    }

    pub fn values(&self) -> [&(dyn ToSql + Sync); COUNT] {
        [
            &self.order_id,
            &self.user_id,
            &self.product_id,
            &self.quantity,
            &self.total_amount,
            &self.shipping_cost,
            &self.discount_amount,
            &self.payment_method,
            &self.status,
            &self.category,
            &self.user_region,
            &self.user_gender,
            &self.user_age_group,
            &self.created_at,
        ]
    }
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

/// All rows of the table, by order id.
///
/// # Errors
/// When the table can't be read.
pub async fn stored_orders(database: &DatabaseSettings) -> anyhow::Result<Vec<StoredOrder>> {
    let client = connect(database).await?;
    let rows = client.query(&format!("SELECT {COLUMNS} FROM orders ORDER BY order_id"), &[]).await?;
    Ok(rows.iter().map(StoredOrder::from).collect())
}
