//! The query for orders that the table has already.

use std::collections::HashMap;

use diesel::{
    sql_query,
    sql_types::{Array, Text},
};
use shared::database::{SqlError, StatementClient};

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
    let query = sql_query(StoredOrder::QUERY).bind::<Array<Text>, _>(ids);
    let rows = client.query(&query).await?;
    Ok(rows.iter().map(StoredOrder::of_row).collect::<Result<_, _>>()?)
}
