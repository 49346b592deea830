//! Inserts a batch, in which an id may occur more than once: the first record of an id is inserted, and each record
//! whose id the table has already is compared with the stored order. Equal content is a duplicate, other content is a
//! conflict. Where a trigger changes rows, each repeated order differs: the fields that it changes are not compared.

use std::collections::{BTreeSet, HashSet};

use super::{
    bisect::{Bisected, write_with_bisection},
    order_sink::{BatchRow, OrderSink},
};
use crate::{
    model::{FieldDifference, OrderRow, RejectReason},
    retry_scope::{Cancelled, RetryScope},
};

/// A batch whose rows are all stored, rejected or dropped. Rows are named by their index in the batch.
#[derive(Debug, Default)]
pub struct InsertedBatch {
    /// The number of rows that the table did not have before.
    pub inserted: u64,
    pub rejected: Vec<(usize, RejectReason)>,
    /// Rows of partitions that were revoked before their statement was sent.
    pub dropped: Vec<usize>,
}

/// Inserts the rows, which are sorted by id, and by position where ids are equal. The first row of an id is inserted,
/// or the next one if the first is refused or dropped. The table is read only when a statement skipped rows, or an id
/// occurs more than once.
///
/// # Errors
/// [`Cancelled`]; some of the rows may be in the table.
pub async fn insert_batch(
    table: &mut impl OrderSink,
    rows: &[BatchRow<'_>],
    scope: &mut RetryScope<'_>,
) -> Result<InsertedBatch, Cancelled> {
    let mut batch = InsertedBatch::default();
    let mut pending: Vec<usize> = (0..rows.len()).collect();
    while !pending.is_empty() {
        let (first, later) = split_by_id(rows, pending);
        let picked: Vec<BatchRow<'_>> = first.iter().map(|row| rows[*row]).collect();
        let Bisected { accepted, refused, dropped } = write_with_bisection(table, &picked, scope).await?;
        let skipping = accepted.iter().filter(|(rows, inserted)| (rows.len() as u64) > *inserted);
        let skipped: u64 = skipping.clone().map(|(rows, inserted)| rows.len() as u64 - inserted).sum();
        let not_stored: HashSet<&str> =
            refused.iter().map(|(row, _)| row).chain(&dropped).map(|row| id(picked[*row])).collect();
        let (next, repeated): (Vec<usize>, Vec<usize>) =
            later.into_iter().partition(|row| not_stored.contains(id(rows[*row])));
        let max_conflicts = skipped as usize + repeated.len();
        let mut compared: Vec<usize> = skipping.flat_map(|(rows, _)| rows).map(|row| first[*row]).collect();
        compared.extend(repeated);
        batch.inserted += accepted.iter().map(|(_, inserted)| inserted).sum::<u64>();
        batch.rejected.extend(refused.into_iter().map(|(row, reason)| (first[row], reason)));
        batch.rejected.extend(find_conflicts(table, rows, compared, max_conflicts, scope).await?);
        batch.dropped.extend(dropped.into_iter().map(|row| first[row]));
        pending = next;
    }
    Ok(batch)
}

fn id<'a>(row: BatchRow<'a>) -> &'a str {
    &row.row.order.order_id
}

/// Splits `pending`, whose rows are sorted by id, into the first row of each id and the others.
fn split_by_id(rows: &[BatchRow<'_>], pending: Vec<usize>) -> (Vec<usize>, Vec<usize>) {
    let mut last = None;
    pending.into_iter().partition(|row| last.replace(id(rows[*row])) != Some(id(rows[*row])))
}

/// Compares rows with the stored orders that have their ids. At most `max_conflicts` of them were not inserted just
/// now.
async fn find_conflicts(
    table: &mut impl OrderSink,
    rows: &[BatchRow<'_>],
    mut compared: Vec<usize>,
    max_conflicts: usize,
    scope: &mut RetryScope<'_>,
) -> Result<Vec<(usize, RejectReason)>, Cancelled> {
    if compared.is_empty() {
        return Ok(Vec::new());
    }
    compared.sort_unstable();
    let picked: Vec<&OrderRow> = compared.iter().map(|row| rows[*row].row).collect();
    let stored = table.stored(&picked, scope).await?;
    let (mut unsure, mut different) = (Vec::new(), Vec::new());
    for row in compared {
        match stored.get(id(rows[row])).map(|order| order.differences(&rows[row].row.order.event)) {
            None => unsure.push((row, RejectReason::NotKept)),
            Some(differences) if differences.is_empty() => {}
            Some(differences) => different.push((row, differences)),
        }
    }
    let Compared { mut conflicts, not_known } = leave_out_changes(table, rows, different, scope).await?;
    unsure.extend(not_known);
    // Rows that were inserted just now can't differ, unless the table itself changes or hides them.
    if conflicts.len() + unsure.len() > max_conflicts {
        tracing::warn!(
            rows = unsure.len(),
            "PostgreSQL: table orders changes or hides rows that it accepts (a trigger or a policy); repeated orders \
             can't be compared and count as duplicates"
        );
    } else {
        conflicts.extend(unsure);
    }
    Ok(conflicts)
}

/// Rows that differ from the stored orders with their ids.
#[derive(Default)]
struct Compared {
    conflicts: Vec<(usize, RejectReason)>,
    /// The table itself may have made them differ.
    not_known: Vec<(usize, RejectReason)>,
}

/// Leaves out the fields that the table itself changes: in these, every repeated order differs from the stored one.
async fn leave_out_changes(
    table: &mut impl OrderSink,
    rows: &[BatchRow<'_>],
    different: Vec<(usize, Vec<FieldDifference>)>,
    scope: &mut RetryScope<'_>,
) -> Result<Compared, Cancelled> {
    let mut compared = Compared::default();
    if different.is_empty() {
        return Ok(compared);
    }
    let picked: Vec<&OrderRow> = different.iter().map(|(row, _)| rows[*row].row).collect();
    let changed = table.changed_fields(&picked, scope).await?;
    for (row, mut differences) in different {
        let Some(changed) = changed.get(id(rows[row])) else {
            compared.not_known.push((row, RejectReason::Conflicting(differences)));
            continue;
        };
        differences.retain(|difference| !changed.contains(&difference.field));
        if !differences.is_empty() {
            compared.conflicts.push((row, RejectReason::Conflicting(differences)));
        }
    }
    let fields: BTreeSet<&str> = changed.into_values().flatten().collect();
    if !fields.is_empty() {
        tracing::warn!(
            ?fields,
            "PostgreSQL: table orders changes fields of the rows that it accepts (a trigger); repeated orders are not \
             compared in them"
        );
    }
    Ok(compared)
}
