//! Inserts that are rolled back: what the table would do.

use std::{collections::HashMap, convert::Infallible};

use shared::database::{SqlError, StatementClient};

use super::{insert::InsertOrders, stored::read_stored};
use crate::model::OrderRow;

/// Characters at the end of an order id that a copy does not share with it.
pub const DIFFERENT_CHARS: usize = 12;

/// The end of a transaction that is always rolled back.
enum RolledBack<T> {
    Done(T),
    Failed(SqlError),
}

impl<T> From<SqlError> for RolledBack<T> {
    fn from(error: SqlError) -> Self {
        Self::Failed(error)
    }
}

/// Runs `work` in a transaction that is rolled back.
///
/// # Errors
/// Those of `work` and of `BEGIN`.
pub async fn rolled_back<T>(
    client: &mut StatementClient,
    work: impl AsyncFnOnce(&mut StatementClient) -> Result<T, SqlError>,
) -> Result<T, SqlError> {
    let ended = client.transaction(async |client| -> Result<Infallible, RolledBack<T>> {
        Err(RolledBack::Done(work(client).await?))
    });
    match ended.await {
        Err(RolledBack::Done(result)) => Ok(result),
        Err(RolledBack::Failed(error)) => Err(error),
    }
}

/// The fields of `rows` that the table changes, by the id of the row; rows that it hides or does not keep are left out.
/// Inserts copies of the rows under other ids, and reads them back.
///
/// # Errors
/// When the table refuses one of them, or the database fails.
pub async fn changed_fields(
    client: &mut StatementClient,
    rows: &[&OrderRow],
) -> Result<HashMap<String, Vec<&'static str>>, SqlError> {
    let copies: Vec<OrderRow> = rows.iter().map(|row| copy(row)).collect();
    let picked: Vec<&OrderRow> = copies.iter().collect();
    let kept = rolled_back(client, async |client| {
        client.execute(&InsertOrders::of(&picked)).await?;
        read_stored(client, &picked).await
    })
    .await?;
    let changed = rows.iter().zip(&copies).filter_map(|(row, copy)| {
        let changes = kept.get(&copy.order.order_id)?.differences(&row.order.event);
        Some((row.order.order_id.clone(), changes.into_iter().map(|change| change.field).collect()))
    });
    Ok(changed.collect())
}

/// A copy of the row with another id of the same length.
fn copy(row: &OrderRow) -> OrderRow {
    let mut copy = row.clone();
    let id = &row.order.order_id;
    let length = id.chars().count();
    let kept = id.chars().take(length.saturating_sub(DIFFERENT_CHARS));
    let different = format!("{:012x}", rand::random::<u64>() >> 16);
    copy.order.order_id = kept.chain(different.chars()).take(length).collect();
    copy
}
