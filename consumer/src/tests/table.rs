//! The tables of the property tests, in memory, with the faults of a test.

use std::collections::{HashMap, VecDeque};

use chrono::DateTime;
use shared::{lifecycle::OrderStatusChanged, wire::ReceivedChange};
use tokio_util::sync::CancellationToken;

use super::cluster::{REFUSED, SharedCluster};
use crate::{
    model::{OrderRow, RejectReason, StoredChange, StoredOrder},
    retry_scope::{Cancelled, RetryScope},
    sink::{
        changes::{
            classify::{History, Verdict},
            plan::{OrderChanges, Plan},
            statements::LockedOrder,
        },
        order_sink::{Attempt, BatchChange, BatchRow, OrderSink, Probe, Probed},
    },
};

/// What may happen during a write.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    LostBeforeCommit,
    LostAfterCommit,
    TooLong,
    /// The partition is revoked during the write.
    Revoked(usize),
    /// The partition is revoked, and the outcome of the write is not known.
    RevokedAndLost(usize),
    ForceStop,
}

/// A row of table `orders`.
#[derive(Clone, Debug)]
pub struct TableOrder {
    pub content: i32,
    pub status: String,
    pub sequence: i32,
}

#[derive(Default)]
pub struct Tables {
    /// By id.
    pub orders: HashMap<String, TableOrder>,
    /// By order id.
    pub histories: HashMap<String, History>,
}

impl Tables {
    pub fn has_change(&self, id: &str, event: &OrderStatusChanged) -> bool {
        let change = self.histories.get(id).and_then(|history| history.get(&event.sequence));
        change.is_some_and(|change| change.differences(event).is_empty())
    }

    /// Whether each order has the status with the highest sequence of its history, which begins with the placed one.
    pub fn statuses_are_the_latest(&self) -> bool {
        self.orders.iter().all(|(id, order)| match self.histories.get(id) {
            None => (order.status.as_str(), order.sequence) == ("paid", 0),
            Some(history) => {
                let (sequence, latest) = history.last_key_value().unwrap();
                (&order.status, order.sequence) == (&latest.status, *sequence) && history[&0].status == "paid"
            }
        })
    }

    /// Inserts the rows that are new, and returns their number.
    fn insert(&mut self, rows: &[&OrderRow]) -> u64 {
        let mut inserted = 0;
        for row in rows {
            let event = &row.order.event;
            self.orders.entry(row.order.order_id.clone()).or_insert_with(|| {
                inserted += 1;
                TableOrder { content: event.shipping_cost, status: event.status.as_str().to_owned(), sequence: 0 }
            });
        }
        inserted
    }

    fn write(&mut self, changes: &[&ReceivedChange]) -> Vec<Verdict> {
        let locked = |(id, order): (&String, &TableOrder)| {
            let TableOrder { status, sequence, .. } = order.clone();
            (id.clone(), LockedOrder { status, sequence, created_at: Some(DateTime::UNIX_EPOCH) })
        };
        let (orders, histories) = (self.orders.iter().map(locked).collect(), self.histories.clone());
        let no_history = History::new();
        let plan = Plan::of_stored(&OrderChanges::group(changes), &orders, &histories, &no_history);
        for (id, row) in plan.history.rows() {
            let change = StoredChange {
                status: row.status.to_owned(),
                reason: row.reason.to_owned(),
                occurred_at: Some(row.occurred_at),
            };
            let before = self.histories.entry(id.to_owned()).or_default().insert(row.sequence, change);
            assert!(before.is_none(), "a primary key twice");
        }
        for (id, status, sequence) in plan.updates.rows() {
            let order = self.orders.get_mut(id).unwrap();
            assert!(order.sequence < sequence, "a status goes back");
            (order.status, order.sequence) = (status.to_owned(), sequence);
        }
        plan.verdicts
    }
}

pub struct FaultyTable {
    pub cluster: SharedCluster,
    pub faults: VecDeque<Fault>,
    pub force_stop: CancellationToken,
}

impl FaultyTable {
    fn check_assigned(&self, rows: &[&OrderRow]) {
        for row in rows {
            let (partition, assignment) = row.user.region.split_once(':').unwrap();
            let (partition, assignment): (i32, i32) = (partition.parse().unwrap(), assignment.parse().unwrap());
            let cluster = self.cluster.lock();
            let is_assigned =
                cluster.assignment.handle(partition).is_some() && cluster.assignments[partition as usize] == assignment;
            assert!(is_assigned, "a statement with a row of partition {partition}, which is revoked");
        }
    }

    fn store(&self, rows: &[&OrderRow]) -> Attempt<u64> {
        self.check_assigned(rows);
        let mut ids: Vec<&str> = rows.iter().map(|row| row.order.order_id.as_str()).collect();
        ids.dedup();
        assert_eq!(ids.len(), rows.len(), "a statement with one id twice");
        if ids.iter().any(|id| id.starts_with("refused")) {
            return Attempt::Refused(RejectReason::NotKept);
        }
        Attempt::Accepted(self.cluster.lock().tables.insert(rows))
    }

    fn write(&self, changes: &[BatchChange<'_>]) -> Attempt<Vec<Verdict>> {
        assert!(!changes.iter().any(|change| change.partition.is_revoked()), "a change of a revoked partition");
        if changes.iter().any(|change| change.change.event.reason == REFUSED) {
            return Attempt::Refused(RejectReason::NotKept);
        }
        let changes: Vec<&ReceivedChange> = changes.iter().map(|change| change.change).collect();
        Attempt::Accepted(self.cluster.lock().tables.write(&changes))
    }

    /// Both in one transaction, if nothing is unusual about them.
    fn store_both(&self, rows: &[BatchRow<'_>], changes: &[BatchChange<'_>]) -> Option<Vec<Verdict>> {
        let is_unusual = {
            let tables = &self.cluster.lock().tables;
            let is_stored = |row: &BatchRow<'_>| tables.orders.contains_key(&row.row.order.order_id);
            let is_late = |BatchChange { change, .. }: &BatchChange<'_>| {
                tables.orders.get(&change.order_id).is_some_and(|order| change.event.sequence <= order.sequence)
            };
            let is_refused = changes.iter().any(|change| change.change.event.reason == REFUSED);
            rows.iter().any(is_stored) || changes.iter().any(is_late) || is_refused
        };
        let orders: Vec<&OrderRow> = rows.iter().map(|row| row.row).collect();
        if is_unusual || !matches!(self.store(&orders), Attempt::Accepted(_)) {
            return None;
        }
        match self.write(changes) {
            Attempt::Accepted(verdicts) => Some(verdicts),
            _ => None,
        }
    }

    /// Runs `write` with the next fault. `None`: its outcome is not known.
    fn with_fault<T>(&mut self, is_one: bool, write: impl Fn(&Self) -> T) -> Result<Faulty<T>, Cancelled> {
        Ok(match self.faults.pop_front() {
            None => Faulty::Answer(write(self)),
            Some(Fault::TooLong) if !is_one => Faulty::TooLong,
            Some(Fault::LostBeforeCommit | Fault::TooLong) => Faulty::Unknown,
            Some(Fault::LostAfterCommit) => {
                write(self);
                Faulty::Unknown
            }
            Some(Fault::Revoked(partition)) => {
                let answer = write(self);
                self.cluster.lock().revoke(partition);
                Faulty::Answer(answer)
            }
            Some(Fault::RevokedAndLost(partition)) => {
                self.cluster.lock().revoke(partition);
                Faulty::Unknown
            }
            Some(Fault::ForceStop) => {
                write(self);
                self.force_stop.cancel();
                return Err(Cancelled);
            }
        })
    }
}

enum Faulty<T> {
    Answer(T),
    TooLong,
    Unknown,
}

impl<T> Faulty<Attempt<T>> {
    fn attempt(self) -> Attempt<T> {
        match self {
            Self::Answer(attempt) => attempt,
            Self::TooLong => Attempt::TooLong,
            Self::Unknown => Attempt::Unknown,
        }
    }
}

impl OrderSink for FaultyTable {
    async fn insert(&mut self, rows: &[&OrderRow], scope: &mut RetryScope<'_>) -> Result<Attempt<u64>, Cancelled> {
        scope.check()?;
        Ok(self.with_fault(rows.len() == 1, |table| table.store(rows))?.attempt())
    }

    async fn store_all(
        &mut self,
        rows: &[BatchRow<'_>],
        changes: &[BatchChange<'_>],
        scope: &mut RetryScope<'_>,
    ) -> Result<Option<Vec<Verdict>>, Cancelled> {
        scope.check()?;
        Ok(match self.with_fault(false, |table| table.store_both(rows, changes))? {
            Faulty::Answer(verdicts) => verdicts,
            Faulty::TooLong | Faulty::Unknown => None,
        })
    }

    async fn store_changes(
        &mut self,
        changes: &[BatchChange<'_>],
        scope: &mut RetryScope<'_>,
    ) -> Result<Attempt<Vec<Verdict>>, Cancelled> {
        scope.check()?;
        let is_one_order = changes.iter().all(|change| change.change.order_id == changes[0].change.order_id);
        Ok(self.with_fault(is_one_order, |table| table.write(changes))?.attempt())
    }

    async fn stored(
        &mut self,
        rows: &[&OrderRow],
        scope: &mut RetryScope<'_>,
    ) -> Result<HashMap<String, StoredOrder>, Cancelled> {
        scope.check()?;
        let cluster = self.cluster.lock();
        let stored = rows.iter().filter_map(|row| {
            let order = cluster.tables.orders.get(&row.order.order_id)?;
            Some((row.order.order_id.clone(), stored_order(row, order.content)))
        });
        Ok(stored.collect())
    }

    async fn changed_fields(
        &mut self,
        rows: &[&OrderRow],
        scope: &mut RetryScope<'_>,
    ) -> Result<HashMap<String, Vec<&'static str>>, Cancelled> {
        scope.check()?;
        Ok(rows.iter().map(|row| (row.order.order_id.clone(), Vec::new())).collect())
    }

    async fn probe(&mut self, _: Probed, _: &mut RetryScope<'_>) -> Result<Probe, Cancelled> {
        Ok(Probe::Inconclusive)
    }
}

/// A stored order that differs from `row` only in its content.
pub fn stored_order(row: &OrderRow, content: i32) -> StoredOrder {
    let event = &row.order.event;
    StoredOrder {
        user_id: event.user_id.to_string(),
        product_id: event.product_id.to_string(),
        quantity: event.quantity,
        total_amount: event.total_amount,
        shipping_cost: content,
        discount_amount: event.discount_amount,
        payment_method: event.payment_method.as_str().to_owned(),
        status: event.status.as_str().to_owned(),
        created_at: Some(DateTime::UNIX_EPOCH),
    }
}
