//! The transactions that write changes. Orders are locked in the order of their ids, so that each order has one writer
//! at a time.

use std::collections::HashMap;

use shared::{
    database::{SqlError, StatementClient},
    wire::ReceivedChange,
};

use super::{
    classify::{ClassifiedChanges, History, Verdict},
    invalidation::Invalidation,
    plan::{OrderChanges, Plan},
    statements::{LockedOrder, lock_orders, read_histories},
};
use crate::{model::OrderRow, sink::insert::InsertOrders};

/// Each statement has some thousand ids, and finds each row by the index. Without these settings, a prepared plan of
/// the time when the table was small would go on to scan it.
const BEGIN: &str = "BEGIN; SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; \
                     SET LOCAL enable_mergejoin = off";

/// Why a transaction was rolled back.
#[derive(Debug)]
pub enum RolledBack {
    /// The tables are not as the fast way expects: an order is stored already, or a change needs the history.
    Irregular,
    /// A partition of the batch was revoked before a statement was sent.
    Revoked,
    /// The tables do not keep all rows, and report no error: a trigger or a policy hides them.
    NotKept,
    Failed(SqlError),
}

impl From<SqlError> for RolledBack {
    fn from(error: SqlError) -> Self {
        Self::Failed(error)
    }
}

/// What both transactions need besides the batch.
pub struct Writing<'a> {
    /// Whether all partitions of the batch are assigned still. Checked before each statement that writes.
    pub is_assigned: &'a (dyn Fn() -> bool + Sync),
    pub invalidation: Option<&'a Invalidation>,
}

/// Stores new orders and changes, sorted by their order ids, in one transaction. An order whose changes are here too
/// is inserted with its last status.
///
/// # Errors
/// [`RolledBack`]; after a failure of the COMMIT, the batch may be stored nevertheless.
pub async fn store_all(
    client: &mut StatementClient,
    rows: &[&OrderRow],
    changes: &[&ReceivedChange],
    writing: &Writing<'_>,
) -> Result<Vec<Verdict>, RolledBack> {
    let (groups, no_history) = (OrderChanges::group(changes), History::new());
    let row_of = |id: &str| rows.binary_search_by(|row| row.order.order_id.as_str().cmp(id)).ok();
    let stored_ids: Vec<&str> =
        groups.iter().map(|changes| changes.order_id).filter(|id| row_of(id).is_none()).collect();
    client
        .transaction_from(BEGIN, async |client| {
            let new = groups.iter().map(|changes| Some(changes.of_new(rows[row_of(changes.order_id)?], &no_history)));
            let new: Vec<Option<ClassifiedChanges<'_>>> = new.collect();
            if !rows.is_empty() {
                let mut insert = InsertOrders::of(rows);
                for (changes, classified) in groups.iter().zip(&new) {
                    let latest = classified.as_ref().and_then(|classified| classified.latest);
                    if let Some((at, latest)) = row_of(changes.order_id).zip(latest) {
                        insert.set_status(at, latest);
                    }
                }
                writing.check()?;
                if client.execute(&insert).await? != rows.len() as u64 {
                    return Err(RolledBack::Irregular);
                }
            }
            let locked = lock_orders(client, &stored_ids).await?;
            let mut plan = Plan::default();
            for (changes, classified) in groups.iter().zip(new) {
                match classified {
                    Some(classified) => plan.add_new(changes, classified),
                    None => plan.add_stored(changes, later_only(changes, &locked)?, &no_history),
                }
            }
            writing.write(client, &plan).await?;
            Ok(plan.verdicts)
        })
        .await
}

/// The order of changes that are all later than its status, so that they need no history.
fn later_only<'a>(
    changes: &OrderChanges<'_>,
    locked: &'a HashMap<String, LockedOrder>,
) -> Result<Option<&'a LockedOrder>, RolledBack> {
    let order = locked.get(changes.order_id);
    let is_later = |order: &LockedOrder| changes.events.iter().all(|event| event.sequence > order.sequence);
    if order.is_none_or(is_later) { Ok(order) } else { Err(RolledBack::Irregular) }
}

/// Stores changes, sorted by their order ids, of orders whose histories are read.
///
/// # Errors
/// As [`store_all`].
pub async fn store_changes(
    client: &mut StatementClient,
    changes: &[&ReceivedChange],
    writing: &Writing<'_>,
) -> Result<Vec<Verdict>, RolledBack> {
    let (groups, no_history) = (OrderChanges::group(changes), History::new());
    let ids: Vec<&str> = groups.iter().map(|changes| changes.order_id).collect();
    client
        .transaction_from(BEGIN, async |client| {
            let locked = lock_orders(client, &ids).await?;
            // By a later statement, which sees what the writers before have committed.
            let histories = read_histories(client, &ids).await?;
            let plan = Plan::of_stored(&groups, &locked, &histories, &no_history);
            writing.write(client, &plan).await?;
            Ok(plan.verdicts)
        })
        .await
}

impl Writing<'_> {
    fn check(&self) -> Result<(), RolledBack> {
        if (self.is_assigned)() { Ok(()) } else { Err(RolledBack::Revoked) }
    }

    async fn write(&self, client: &mut StatementClient, plan: &Plan<'_>) -> Result<(), RolledBack> {
        if plan.history.row_count() > 0 {
            self.check()?;
            if client.execute(&plan.history).await? != plan.history.row_count() as u64 {
                return Err(RolledBack::NotKept);
            }
        }
        let changed = &plan.updates.order_ids;
        if !changed.is_empty() {
            self.check()?;
            if client.execute(&plan.updates).await? != changed.len() as u64 {
                return Err(RolledBack::NotKept);
            }
            if let Some(invalidation) = self.invalidation {
                invalidation.invalidate(changed).await;
            }
        }
        self.check()
    }
}
