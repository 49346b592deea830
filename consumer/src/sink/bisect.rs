//! Inserts rows by one statement, retried until the table accepts it. A row that the table refuses is isolated by
//! bisection; the other rows are inserted (invariants 5 and 7).

use std::collections::HashMap;

use shared::database::SqlError;

use crate::{
    model::{OrderRow, PartitionHandle, StoredOrder},
    retry_scope::{Cancelled, RetryScope},
};

/// How often rows fail with one SQLSTATE that may be about a row, before they are bisected.
const SUSPECT_ATTEMPTS: u32 = 3;

/// A row, with the assignment that its record was read under.
#[derive(Clone, Copy)]
pub struct BatchRow<'a> {
    pub row: &'a OrderRow,
    pub partition: &'a PartitionHandle,
}

/// Inserts rows, and reads those that are stored.
pub trait OrderSink: Send {
    /// The maximum number of rows of a statement now. It is smaller after statements that took too long.
    fn max_rows(&self) -> usize {
        usize::MAX
    }

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

    /// The fields of `rows` that the table itself changes, such as by a trigger, by the id of the row. Rows of which that
    /// can't be known are left out. Stores nothing; retries an outage.
    ///
    /// # Errors
    /// [`Cancelled`].
    fn changed_fields(
        &mut self,
        rows: &[&OrderRow],
        scope: &mut RetryScope<'_>,
    ) -> impl Future<Output = Result<HashMap<String, Vec<&'static str>>, Cancelled>> + Send;

    /// Tries once whether the table accepts orders like those that it has, without storing one.
    ///
    /// # Errors
    /// [`Cancelled`].
    fn probe(&mut self, scope: &mut RetryScope<'_>) -> impl Future<Output = Result<Probe, Cancelled>> + Send;
}

/// The outcome of one insert.
#[derive(Debug)]
pub enum InsertOutcome {
    /// The ids of all rows are in the table; this number of rows is new.
    Inserted(u64),
    /// No row is in the table: it refuses at least one of them.
    Refused(SqlError),
    /// No row is in the table. Either it refuses at least one of them, or it accepts no order at all.
    Suspect(SqlError),
    /// The rows are too many for the timeout of a statement. Never for a single row.
    TooLong,
    /// It is not known which rows are in the table: the same insert must be retried.
    Unknown,
}

/// Whether the table accepts orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    Accepts,
    /// It accepts no order, or can't be reached.
    Fails,
    /// The table is empty, or does not accept a copy of its last or of its first order.
    Inconclusive,
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

/// Inserts all rows, whose ids differ, except those that the table refuses and those whose partition is revoked before
/// their statement is sent (invariant 9). Isolating k refused rows takes O(k log n) statements.
///
/// # Errors
/// [`Cancelled`]; some of the rows may be in the table.
pub async fn insert_with_bisection(
    table: &mut impl OrderSink,
    rows: &[BatchRow<'_>],
    scope: &mut RetryScope<'_>,
) -> Result<InsertedRows, Cancelled> {
    let mut batch = InsertedRows::default();
    let mut pending = vec![Part { rows: (0..rows.len()).collect(), suspicion: None }];
    while let Some(mut part) = pending.pop() {
        batch.dropped.extend(part.rows.extract_if(.., |row| rows[*row].partition.is_revoked()));
        if part.rows.len() > table.max_rows() {
            pending.push(part.split_off(table.max_rows()));
        }
        if part.rows.is_empty() {
            continue;
        }
        let picked: Vec<&OrderRow> = part.rows.iter().map(|row| rows[*row].row).collect();
        match table.insert(&picked, scope).await? {
            InsertOutcome::Inserted(inserted) => {
                part.rows.iter().for_each(|row| rows[*row].partition.note_progress());
                batch.count(part.rows, inserted);
            }
            // Behind the other parts: a row that waits for a lock keeps no other row from the table.
            InsertOutcome::Unknown => pending.insert(0, part),
            InsertOutcome::Refused(error) if part.rows.len() == 1 => batch.refused.push((part.rows[0], error)),
            outcome @ (InsertOutcome::Refused(_) | InsertOutcome::TooLong) => {
                tracing::debug!(?outcome, rows = part.rows.len(), "bisecting a batch");
                pending.push(part.split_off(part.rows.len() / 2));
                pending.push(part);
            }
            InsertOutcome::Suspect(error) => match part.judge(&error, batch.inserted, table, scope).await? {
                Verdict::RetryNow => pending.push(part),
                Verdict::RetryLater => {
                    scope.back_off().await;
                    pending.insert(0, part);
                }
                Verdict::Bisect => {
                    tracing::debug!(%error, rows = part.rows.len(), "bisecting a batch");
                    pending.push(part.split_off(part.rows.len() / 2));
                    pending.push(part);
                }
                Verdict::Refuse => batch.refused.push((part.rows[0], error)),
            },
        }
    }
    Ok(batch)
}

impl InsertedRows {
    /// Counts the rows of a statement, `inserted` of which are new.
    fn count(&mut self, rows: Vec<usize>, inserted: u64) {
        let skipped = rows.len() as u64 - inserted;
        self.inserted += inserted;
        self.skipped += skipped;
        if skipped > 0 {
            self.from_skipping_statements.extend(rows);
        }
    }
}

/// Rows that are inserted by one statement.
struct Part {
    rows: Vec<usize>,
    suspicion: Option<Suspicion>,
}

/// The failures of a part with one SQLSTATE that may be about a row.
#[derive(Clone)]
struct Suspicion {
    sqlstate: Option<String>,
    failures: u32,
    /// The rows of the batch that were inserted before the first failure.
    inserted_before: u64,
    /// Whether other rows were accepted after a failure of this single row, which is tried once more.
    others_accepted: bool,
}

/// What happens to a part that failed.
enum Verdict {
    RetryNow,
    /// After a backoff, and after the other parts.
    RetryLater,
    Bisect,
    /// The table refuses the single row of the part.
    Refuse,
}

impl Part {
    fn split_off(&mut self, at: usize) -> Self {
        Self { rows: self.rows.split_off(at), suspicion: self.suspicion.clone() }
    }

    /// Judges a failure that may be about a row. A row is refused only if it fails again after the table has accepted
    /// other rows: an error of all rows is an outage, and dead-letters none. `inserted` is the number of rows of the
    /// batch that were inserted so far.
    async fn judge(
        &mut self,
        error: &SqlError,
        inserted: u64,
        table: &mut impl OrderSink,
        scope: &mut RetryScope<'_>,
    ) -> Result<Verdict, Cancelled> {
        let before = self.suspicion.take().filter(|before| before.sqlstate.as_deref() == error.sqlstate());
        let suspicion = self.suspicion.insert(before.unwrap_or_else(|| Suspicion {
            sqlstate: error.sqlstate().map(str::to_owned),
            failures: 0,
            inserted_before: inserted,
            others_accepted: false,
        }));
        suspicion.failures += 1;
        if suspicion.failures < SUSPECT_ATTEMPTS {
            return Ok(Verdict::RetryLater);
        }
        let others_accepted = match table.probe(scope).await? {
            Probe::Accepts => true,
            Probe::Inconclusive => inserted > suspicion.inserted_before,
            Probe::Fails => {
                self.suspicion = None;
                return Ok(Verdict::RetryLater);
            }
        };
        if self.rows.len() > 1 {
            return Ok(Verdict::Bisect);
        }
        let again = std::mem::replace(&mut suspicion.others_accepted, others_accepted);
        Ok(match (others_accepted, again) {
            (true, true) => Verdict::Refuse,
            (true, false) => Verdict::RetryNow,
            (false, _) => Verdict::RetryLater,
        })
    }
}
