//! Inserts a batch by one statement, retried until the table accepts it. A row that the table refuses is isolated by
//! bisection; the other rows are inserted (invariants 5 and 7).

use std::collections::HashMap;

use shared::database::SqlError;

use crate::{
    model::{OrderRow, StoredOrder},
    retry_scope::{Cancelled, RetryScope},
};

/// Inserts rows, and reads those that are stored.
pub trait OrderSink: Send {
    /// Tries once to insert all of `rows`, whose ids differ; rows whose id the table has are skipped. It waits for a
    /// backoff before it returns [`InsertOutcome::Unknown`].
    ///
    /// # Errors
    /// [`Cancelled`]; some of the rows may be in the table.
    fn insert(
        &mut self,
        rows: &[&OrderRow],
        scope: &mut RetryScope<'_>,
    ) -> impl Future<Output = Result<InsertOutcome, Cancelled>> + Send;

    /// Reads the stored orders with the ids of `rows`, by id. Retries until it succeeds.
    ///
    /// # Errors
    /// [`Cancelled`].
    fn stored(
        &mut self,
        rows: &[&OrderRow],
        scope: &mut RetryScope<'_>,
    ) -> impl Future<Output = Result<HashMap<String, StoredOrder>, Cancelled>> + Send;
}

/// The outcome of one insert.
#[derive(Debug)]
pub enum InsertOutcome {
    /// The ids of all rows are in the table; this number of rows is new.
    Inserted(u64),
    /// No row is in the table: it refuses at least one of them.
    Refused(SqlError),
    /// No row is in the table: they are too many for the server's statement timeout. Never for a single row.
    TooLong,
    /// It is not known which rows are in the table: the same insert must be retried.
    Unknown,
}

/// Rows that are all inserted, skipped, refused or dropped. They are named by their index.
#[derive(Debug, Default)]
pub struct InsertedRows {
    /// The number of rows that the table did not have before.
    pub inserted: u64,
    /// The number of rows that were skipped, since the table has their id.
    pub skipped: u64,
    /// The rows of each statement that skipped any of its rows.
    pub from_skipping_statements: Vec<usize>,
    pub refused: Vec<(usize, SqlError)>,
    /// Rows of partitions that were revoked before their statement was sent.
    pub dropped: Vec<usize>,
}

/// Inserts all rows except those that the table refuses and those whose partition is revoked before their statement is
/// sent (invariant 9). Isolating k refused rows takes O(k log n) statements.
///
/// # Errors
/// [`Cancelled`]; some of the rows may be in the table.
pub async fn insert_with_bisection(
    table: &mut impl OrderSink,
    rows: &[&OrderRow],
    is_assigned: &(dyn Fn(usize) -> bool + Sync),
    scope: &mut RetryScope<'_>,
) -> Result<InsertedRows, Cancelled> {
    let mut batch = InsertedRows::default();
    let mut pending: Vec<Vec<usize>> = vec![(0..rows.len()).collect()];
    while let Some(mut part) = pending.pop() {
        batch.dropped.extend(part.extract_if(.., |row| !is_assigned(*row)));
        if part.is_empty() {
            continue;
        }
        let picked: Vec<&OrderRow> = part.iter().map(|row| rows[*row]).collect();
        match table.insert(&picked, scope).await? {
            InsertOutcome::Inserted(inserted) => {
                batch.inserted += inserted;
                let skipped = part.len() as u64 - inserted;
                if skipped > 0 {
                    batch.skipped += skipped;
                    batch.from_skipping_statements.extend(part);
                }
            }
            InsertOutcome::Unknown => pending.push(part),
            InsertOutcome::Refused(error) if part.len() == 1 => batch.refused.push((part[0], error)),
            outcome @ (InsertOutcome::Refused(_) | InsertOutcome::TooLong) => {
                tracing::debug!(?outcome, rows = part.len(), "bisecting a batch");
                let second = part.split_off(part.len() / 2);
                pending.extend([second, part]);
            }
        }
    }
    Ok(batch)
}
