//! The query for orders that the table has already.

use std::collections::HashMap;

use diesel::{ExpressionMethods, QueryDsl};
use shared::database::{SqlError, StatementClient, schema::orders};

use crate::model::{OrderRow, StoredOrder};

/// Reads the stored orders with the ids of `rows`, by id.
///
/// # Errors
/// When the database fails.
pub async fn read_stored(
    client: &mut StatementClient,
    rows: &[&OrderRow],
) -> Result<HashMap<String, StoredOrder>, SqlError> {
    let mut ids: Vec<&str> = rows.iter().map(|row| row.order.order_id.as_str()).collect();
    ids.dedup();
    let columns = (
        orders::order_id,
        orders::user_id,
        orders::product_id,
        orders::quantity,
        orders::total_amount,
        orders::shipping_cost,
        orders::discount_amount,
        orders::payment_method,
        orders::status,
        orders::created_at,
    );
    let query = orders::table.filter(orders::order_id.eq_any(ids)).select(columns);
    let mut stored = HashMap::new();
    for row in client.query(&query).await? {
        let order = StoredOrder {
            user_id: row.try_get(1)?,
            product_id: row.try_get(2)?,
            quantity: row.try_get(3)?,
            total_amount: row.try_get(4)?,
            shipping_cost: row.try_get(5)?,
            discount_amount: row.try_get(6)?,
            payment_method: row.try_get(7)?,
            status: row.try_get(8)?,
            created_at: row.try_get(9).ok(),
        };
        stored.insert(row.try_get(0)?, order);
    }
    Ok(stored)
}
