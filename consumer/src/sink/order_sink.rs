//! What the tables can do with orders and changes: one attempt at a time.

use std::collections::HashMap;

use shared::{database::SqlError, wire::ReceivedChange};

use super::changes::classify::Verdict;
use crate::{
    model::{OrderRow, PartitionHandle, RejectReason, StoredOrder},
    retry_scope::{Cancelled, RetryScope},
};

/// A row, with the assignment that its record was read under.
#[derive(Clone, Copy)]
pub struct BatchRow<'a> {
    pub row: &'a OrderRow,
    pub partition: &'a PartitionHandle,
}

/// A change of an order, with the assignment that its record was read under.
#[derive(Clone, Copy)]
pub struct BatchChange<'a> {
    pub change: &'a ReceivedChange,
    pub partition: &'a PartitionHandle,
}

/// Inserts rows, writes changes, and reads what is stored.
pub trait OrderSink: Send {
    /// The maximum number of rows of a statement now. It is smaller after statements that took too long.
    fn max_rows(&self) -> usize {
        usize::MAX
    }

    /// Tries once to insert all of `rows`, whose ids differ; rows whose id the table has are skipped. The answer is the
    /// number of rows that are new. It waits for a backoff before it returns [`Attempt::Unknown`].
    ///
    /// # Errors
    /// [`Cancelled`]; some of the rows may be in the table.
    fn insert(
        &mut self,
        rows: &[&OrderRow],
        scope: &mut RetryScope<'_>,
    ) -> impl Future<Output = Result<Attempt<u64>, Cancelled>> + Send;

    /// Tries once to store new orders, whose ids differ, and changes in one transaction; both are sorted by order id.
    /// `None` when that is not possible so simply: then nothing is known to be stored.
    ///
    /// # Errors
    /// [`Cancelled`]; all of them may be stored.
    fn store_all(
        &mut self,
        rows: &[BatchRow<'_>],
        changes: &[BatchChange<'_>],
        scope: &mut RetryScope<'_>,
    ) -> impl Future<Output = Result<Option<Vec<Verdict>>, Cancelled>> + Send;

    /// Tries once to store changes, sorted by order id, in one transaction. The answer has what becomes of each. It
    /// waits for a backoff before it returns [`Attempt::Unknown`], unless a partition was revoked.
    ///
    /// # Errors
    /// [`Cancelled`]; all of them may be stored.
    fn store_changes(
        &mut self,
        changes: &[BatchChange<'_>],
        scope: &mut RetryScope<'_>,
    ) -> impl Future<Output = Result<Attempt<Vec<Verdict>>, Cancelled>> + Send;

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

    /// Tries once whether the tables accept writes like those that they have, without storing one.
    ///
    /// # Errors
    /// [`Cancelled`].
    fn probe(
        &mut self,
        probed: Probed,
        scope: &mut RetryScope<'_>,
    ) -> impl Future<Output = Result<Probe, Cancelled>> + Send;
}

/// The outcome of one attempt to write rows or changes.
#[derive(Debug)]
pub enum Attempt<Answer> {
    /// All are in the tables, or were answered one by one.
    Accepted(Answer),
    /// Nothing is written: the tables refuse at least one of them.
    Refused(RejectReason),
    /// Nothing is written. Either the tables refuse at least one of them, or they accept none at all.
    Suspect(SqlError),
    /// There are too many for the timeout of a statement. Never for a single row, or the changes of a single order.
    TooLong,
    /// It is not known what is written: the same attempt must be repeated.
    Unknown,
}

/// What is tried by a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probed {
    Orders,
    Changes,
}

/// Whether the tables accept what was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    Accepts,
    /// They accept none, or can't be reached.
    Fails,
    /// The table is empty, or does not accept a copy of its last or of its first row.
    Inconclusive,
}
