//! Stores a batch of orders and changes: all in one transaction if nothing is unusual about it, else the orders first,
//! and then the changes, each isolated that the tables refuse.

use super::{
    batch::{InsertedBatch, insert_batch},
    bisect::{Bisected, ChangesOfOrder, write_with_bisection},
    changes::classify::Verdict,
    order_sink::{BatchChange, BatchRow, OrderSink},
};
use crate::{
    model::{PartitionHandle, RejectReason},
    retry_scope::{Cancelled, RetryScope},
};

/// A batch whose orders and changes are all stored, rejected or dropped.
#[derive(Debug, Default)]
pub struct StoredBatch {
    pub orders: InsertedBatch,
    pub changes: StoredChanges,
}

/// Changes are named by their index in the batch.
#[derive(Debug, Default)]
pub struct StoredChanges {
    /// The number of changes that the histories did not have before.
    pub stored: u64,
    pub rejected: Vec<(usize, RejectReason)>,
    /// Changes of partitions that were revoked before their statement was sent.
    pub dropped: Vec<usize>,
}

/// Stores the rows, sorted by order id and then by position, and the changes, sorted by order id, then by sequence,
/// then by position.
///
/// # Errors
/// [`Cancelled`]; some of them may be stored.
pub async fn store_batch(
    table: &mut impl OrderSink,
    rows: &[BatchRow<'_>],
    changes: &[BatchChange<'_>],
    scope: &mut RetryScope<'_>,
) -> Result<StoredBatch, Cancelled> {
    if changes.is_empty() {
        return Ok(StoredBatch { orders: insert_batch(table, rows, scope).await?, ..StoredBatch::default() });
    }
    if is_simple(rows, changes, table.max_rows())
        && let Some(verdicts) = table.store_all(rows, changes, scope).await?
    {
        let partitions = rows.iter().map(|row| row.partition).chain(changes.iter().map(|change| change.partition));
        partitions.for_each(PartitionHandle::note_progress);
        let mut stored = StoredBatch::default();
        stored.orders.inserted = rows.len() as u64;
        stored.changes.add(0..changes.len(), verdicts);
        return Ok(stored);
    }
    // The orders first: after that, an order that the table does not have is unknown.
    let orders = insert_batch(table, rows, scope).await?;
    Ok(StoredBatch { orders, changes: store_changes(table, changes, scope).await? })
}

/// Whether the batch may be stored by one transaction.
fn is_simple(rows: &[BatchRow<'_>], changes: &[BatchChange<'_>], max_rows: usize) -> bool {
    let is_revoked =
        rows.iter().any(|row| row.partition.is_revoked()) || changes.iter().any(|change| change.partition.is_revoked());
    rows.len() + changes.len() <= max_rows
        && !is_revoked
        && rows.is_sorted_by(|a, b| a.row.order.order_id < b.row.order.order_id)
}

async fn store_changes(
    table: &mut impl OrderSink,
    changes: &[BatchChange<'_>],
    scope: &mut RetryScope<'_>,
) -> Result<StoredChanges, Cancelled> {
    let mut stored = StoredChanges::default();
    let several = stored.write(table, changes, group_by_order(changes), scope).await?;
    // One after the other, in their order: a refused change costs itself only.
    for change in several.into_iter().flatten() {
        stored.write(table, changes, vec![vec![change]], scope).await?;
    }
    Ok(stored)
}

/// Groups the changes of each order, by their indexes. Those of different assignments are apart, since one of them may
/// be revoked.
fn group_by_order(changes: &[BatchChange<'_>]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut order: (&str, usize) = ("", 0);
    for (at, BatchChange { change, partition }) in changes.iter().enumerate() {
        if change.order_id != order.0 {
            order = (&change.order_id, groups.len());
        }
        let of_order = &mut groups[order.1..];
        match of_order.iter_mut().find(|group| std::ptr::eq(changes[group[0]].partition, *partition)) {
            Some(group) => group.push(at),
            None => groups.push(vec![at]),
        }
    }
    groups
}

impl StoredChanges {
    /// Writes groups of changes. Returns those of several changes that the tables refuse.
    async fn write(
        &mut self,
        table: &mut impl OrderSink,
        changes: &[BatchChange<'_>],
        groups: Vec<Vec<usize>>,
        scope: &mut RetryScope<'_>,
    ) -> Result<Vec<Vec<usize>>, Cancelled> {
        let batches: Vec<Vec<BatchChange<'_>>> =
            groups.iter().map(|group| group.iter().map(|change| changes[*change]).collect()).collect();
        let batches: Vec<ChangesOfOrder<'_>> = batches.iter().map(|changes| ChangesOfOrder(changes)).collect();
        let Bisected { accepted, refused, dropped } = write_with_bisection(table, &batches, scope).await?;
        for (written, verdicts) in accepted {
            self.add(written.into_iter().flat_map(|group| &groups[group]).copied(), verdicts);
        }
        self.dropped.extend(dropped.into_iter().flat_map(|group| &groups[group]));
        let mut several = Vec::new();
        for (group, reason) in refused {
            match groups[group].as_slice() {
                [change] => self.rejected.push((*change, reason)),
                changes => several.push(changes.to_vec()),
            }
        }
        Ok(several)
    }

    fn add(&mut self, changes: impl IntoIterator<Item = usize>, verdicts: Vec<Verdict>) {
        for (change, verdict) in changes.into_iter().zip(verdicts) {
            match verdict {
                Verdict::Stored => self.stored += 1,
                Verdict::Duplicate => {}
                Verdict::Rejected(reason) => self.rejected.push((change, reason)),
            }
        }
    }
}
