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
    let rows = client.query(&query).await?;
    Ok(rows.iter().map(StoredOrder::of_row).collect::<Result<_, _>>()?)
}
