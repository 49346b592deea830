//! Writes rows or changes together, retried until the tables accept them. One that the tables refuse is isolated by
//! bisection; the others are written (invariants 5 and 7).

use shared::database::SqlError;

use super::{
    changes::classify::Verdict,
    order_sink::{Attempt, BatchChange, BatchRow, OrderSink, Probe, Probed},
};
use crate::{
    model::{PartitionHandle, RejectReason},
    retry_scope::{Cancelled, RetryScope},
};

/// How often rows fail with one SQLSTATE that may be about a row, before they are bisected.
const SUSPECT_ATTEMPTS: u32 = 3;

/// What is written together: rows, or the changes of orders.
pub trait Written: Copy + Send + Sync {
    /// The tables' answer about some of them.
    type Answer: Send;
    const PROBED: Probed;

    fn partition(&self) -> &PartitionHandle;

    /// Tries once to write all of `picked`.
    ///
    /// # Errors
    /// [`Cancelled`]; all of them may be written.
    fn attempt(
        picked: &[Self],
        table: &mut impl OrderSink,
        scope: &mut RetryScope<'_>,
    ) -> impl Future<Output = Result<Attempt<Self::Answer>, Cancelled>> + Send;

    /// How many are new in the tables.
    fn new_rows(answer: &Self::Answer) -> u64;
}

impl Written for BatchRow<'_> {
    type Answer = u64;
    const PROBED: Probed = Probed::Orders;

    fn partition(&self) -> &PartitionHandle {
        self.partition
    }

    async fn attempt(
        picked: &[Self],
        table: &mut impl OrderSink,
        scope: &mut RetryScope<'_>,
    ) -> Result<Attempt<u64>, Cancelled> {
        let rows: Vec<_> = picked.iter().map(|row| row.row).collect();
        table.insert(&rows, scope).await
    }

    fn new_rows(answer: &u64) -> u64 {
        *answer
    }
}

/// Changes of one order, read under one assignment: at least one. They stay together, so that they are written in their
/// order.
#[derive(Clone, Copy)]
pub struct ChangesOfOrder<'a>(pub &'a [BatchChange<'a>]);

impl Written for ChangesOfOrder<'_> {
    type Answer = Vec<Verdict>;
    const PROBED: Probed = Probed::Changes;

    fn partition(&self) -> &PartitionHandle {
        self.0[0].partition
    }

    async fn attempt(
        picked: &[Self],
        table: &mut impl OrderSink,
        scope: &mut RetryScope<'_>,
    ) -> Result<Attempt<Vec<Verdict>>, Cancelled> {
        let changes: Vec<BatchChange<'_>> = picked.iter().flat_map(|changes| changes.0).copied().collect();
        table.store_changes(&changes, scope).await
    }

    fn new_rows(answer: &Vec<Verdict>) -> u64 {
        answer.iter().filter(|verdict| matches!(verdict, Verdict::Stored)).count() as u64
    }
}

/// Rows or changes that are all answered, refused or dropped. They are named by their index.
#[derive(Debug)]
pub struct Bisected<Answer> {
    /// Those of each statement or transaction that was accepted, with its answer.
    pub accepted: Vec<(Vec<usize>, Answer)>,
    pub refused: Vec<(usize, RejectReason)>,
    /// Those of partitions that were revoked before their statement was sent.
    pub dropped: Vec<usize>,
}

/// Writes all of `batch`, except those that the tables refuse and those whose partition is revoked before their
/// statement is sent (invariant 9). Isolating k refused ones takes O(k log n) attempts.
///
/// # Errors
/// [`Cancelled`]; some of them may be written.
pub async fn write_with_bisection<One: Written>(
    table: &mut impl OrderSink,
    batch: &[One],
    scope: &mut RetryScope<'_>,
) -> Result<Bisected<One::Answer>, Cancelled> {
    let mut result = Bisected { accepted: Vec::new(), refused: Vec::new(), dropped: Vec::new() };
    let mut new_rows = 0;
    let mut pending = vec![Part { rows: (0..batch.len()).collect(), suspicion: None }];
    while let Some(mut part) = pending.pop() {
        result.dropped.extend(part.rows.extract_if(.., |row| batch[*row].partition().is_revoked()));
        if part.rows.len() > table.max_rows() {
            pending.push(part.split_off(table.max_rows()));
        }
        if part.rows.is_empty() {
            continue;
        }
        let picked: Vec<One> = part.rows.iter().map(|row| batch[*row]).collect();
        match One::attempt(&picked, table, scope).await? {
            Attempt::Accepted(answer) => {
                picked.iter().for_each(|one| one.partition().note_progress());
                new_rows += One::new_rows(&answer);
                result.accepted.push((part.rows, answer));
            }
            // Behind the other parts: a row that waits for a lock keeps no other row from the table.
            Attempt::Unknown => pending.insert(0, part),
            Attempt::Refused(reason) if part.rows.len() == 1 => result.refused.push((part.rows[0], reason)),
            Attempt::Refused(_) | Attempt::TooLong => {
                tracing::debug!(rows = part.rows.len(), "bisecting a batch");
                pending.push(part.split_off(part.rows.len() / 2));
                pending.push(part);
            }
            Attempt::Suspect(error) => match part.judge::<One>(&error, new_rows, table, scope).await? {
                Judgement::RetryNow => pending.push(part),
                Judgement::RetryLater => {
                    scope.back_off().await;
                    pending.insert(0, part);
                }
                Judgement::Bisect => {
                    tracing::debug!(%error, rows = part.rows.len(), "bisecting a batch");
                    pending.push(part.split_off(part.rows.len() / 2));
                    pending.push(part);
                }
                Judgement::Refuse => result.refused.push((part.rows[0], error.into())),
            },
        }
    }
    Ok(result)
}

/// Rows or changes that are written together.
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
enum Judgement {
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
    async fn judge<One: Written>(
        &mut self,
        error: &SqlError,
        inserted: u64,
        table: &mut impl OrderSink,
        scope: &mut RetryScope<'_>,
    ) -> Result<Judgement, Cancelled> {
        let before = self.suspicion.take().filter(|before| before.sqlstate.as_deref() == error.sqlstate());
        let suspicion = self.suspicion.insert(before.unwrap_or_else(|| Suspicion {
            sqlstate: error.sqlstate().map(str::to_owned),
            failures: 0,
            inserted_before: inserted,
            others_accepted: false,
        }));
        suspicion.failures += 1;
        if suspicion.failures < SUSPECT_ATTEMPTS {
            return Ok(Judgement::RetryLater);
        }
        let others_accepted = match table.probe(One::PROBED, scope).await? {
            Probe::Accepts => true,
            Probe::Inconclusive => inserted > suspicion.inserted_before,
            Probe::Fails => {
                self.suspicion = None;
                return Ok(Judgement::RetryLater);
            }
        };
        if self.rows.len() > 1 {
            return Ok(Judgement::Bisect);
        }
        let again = std::mem::replace(&mut suspicion.others_accepted, others_accepted);
        Ok(match (others_accepted, again) {
            (true, true) => Judgement::Refuse,
            (true, false) => Judgement::RetryNow,
            (false, _) => Judgement::RetryLater,
        })
    }
}
