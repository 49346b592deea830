//! The records of a batch after it was stored. Records are named by their index in the batch.

use std::collections::{HashMap, HashSet};

use super::{accounting::StoredCount, prepared::PreparedRecord};
use crate::{
    metrics,
    model::RejectReason,
    retry_scope::{Cancelled, RetryScope},
    sink::{
        order_sink::{BatchChange, BatchRow, OrderSink},
        store::{StoredBatch, store_batch},
    },
};

pub struct StoredRecords {
    pub orders: StoredCount,
    pub changes: StoredCount,
    /// What the tables refuse, or what conflicts with stored content or with the history of its order.
    pub rejected: HashMap<usize, RejectReason>,
    /// Revoked before its statement was sent.
    pub dropped: HashSet<usize>,
}

/// Stores the orders and changes of a batch.
///
/// # Errors
/// [`Cancelled`]; some of them may be stored.
pub async fn store_records(
    records: &[PreparedRecord],
    table: &mut impl OrderSink,
    scope: &mut RetryScope<'_>,
) -> Result<StoredRecords, Cancelled> {
    let (order_indexes, rows) = sorted_rows(records);
    let (change_indexes, changes) = sorted_changes(records);
    let StoredBatch { orders, changes: history } = store_batch(table, &rows, &changes, scope).await?;
    let accepted = rows.len() - orders.rejected.len() - orders.dropped.len();
    let accepted_changes = changes.len() - history.rejected.len() - history.dropped.len();
    if !rows.is_empty() {
        ::metrics::histogram!(metrics::BATCH_ROWS).record(accepted as f64);
    }
    let rejected = orders.rejected.into_iter().map(|(row, reason)| (order_indexes[row], reason));
    let rejected_changes = history.rejected.into_iter().map(|(change, reason)| (change_indexes[change], reason));
    let dropped = orders.dropped.into_iter().map(|row| order_indexes[row]);
    let dropped_changes = history.dropped.into_iter().map(|change| change_indexes[change]);
    Ok(StoredRecords {
        orders: StoredCount { accepted: accepted as u64, new: orders.inserted },
        changes: StoredCount { accepted: accepted_changes as u64, new: history.stored },
        rejected: rejected.chain(rejected_changes).collect(),
        dropped: dropped.chain(dropped_changes).collect(),
    })
}

/// The rows of all orders, sorted by key: two workers that insert the same orders lock them in the same order and never
/// deadlock. Then by position: of the records with one key, the first of a partition is stored.
fn sorted_rows(records: &[PreparedRecord]) -> (Vec<usize>, Vec<BatchRow<'_>>) {
    let rows = records
        .iter()
        .enumerate()
        .filter_map(|(at, record)| Some((at, BatchRow { row: record.row()?, partition: &record.in_flight.partition })));
    let mut rows: Vec<(usize, BatchRow<'_>)> = rows.collect();
    let position = |at: usize| records[at].in_flight.record.position;
    rows.sort_unstable_by(|(a, row_a), (b, row_b)| {
        let keys = row_a.row.order.order_id.cmp(&row_b.row.order.order_id);
        keys.then_with(|| position(*a).cmp(&position(*b)))
    });
    rows.into_iter().unzip()
}

/// All changes, sorted by key for the same reason; then by sequence, since each may depend on the one before it; then
/// by position.
fn sorted_changes(records: &[PreparedRecord]) -> (Vec<usize>, Vec<BatchChange<'_>>) {
    let changes = records.iter().enumerate().filter_map(|(at, record)| {
        Some((at, BatchChange { change: record.change()?, partition: &record.in_flight.partition }))
    });
    let mut changes: Vec<(usize, BatchChange<'_>)> = changes.collect();
    let position = |at: usize| records[at].in_flight.record.position;
    changes.sort_unstable_by(|(a, change_a), (b, change_b)| {
        let (change_a, change_b) = (change_a.change, change_b.change);
        let keys = change_a.order_id.cmp(&change_b.order_id);
        keys.then(change_a.event.sequence.cmp(&change_b.event.sequence)).then_with(|| position(*a).cmp(&position(*b)))
    });
    changes.into_iter().unzip()
}
