//! What a batch of changes writes, several orders together.

use std::collections::HashMap;

use shared::{lifecycle::OrderStatusChanged, wire::ReceivedChange};

use super::{
    classify::{ClassifiedChanges, History, OrderState, Verdict, classify},
    statements::{InsertHistory, LockedOrder, UpdateOrders},
};
use crate::model::{OrderRow, RejectReason};

/// The changes of one order, sorted by sequence and then by position.
pub struct OrderChanges<'a> {
    pub order_id: &'a str,
    pub events: Vec<&'a OrderStatusChanged>,
}

impl<'a> OrderChanges<'a> {
    /// Groups changes that are sorted by their order.
    pub fn group(changes: &[&'a ReceivedChange]) -> Vec<Self> {
        let orders = changes.chunk_by(|a, b| a.order_id == b.order_id);
        let group = |changes: &[&'a ReceivedChange]| Self {
            order_id: &changes[0].order_id,
            events: changes.iter().map(|change| &change.event).collect(),
        };
        orders.map(group).collect()
    }

    /// Classifies the changes of an order that is not in the table yet.
    pub fn of_new(&self, row: &'a OrderRow, no_history: &'a History) -> ClassifiedChanges<'a> {
        let event = &row.order.event;
        let state = OrderState { status: event.status.as_str(), sequence: 0, created_at: Some(event.created_at) };
        classify(state, no_history, &self.events)
    }
}

/// The rows to write, and what becomes of each change.
#[derive(Default)]
pub struct Plan<'a> {
    /// In the order of the changes.
    pub verdicts: Vec<Verdict>,
    pub history: InsertHistory<'a>,
    pub updates: UpdateOrders<'a>,
}

impl<'a> Plan<'a> {
    /// Plans changes whose order is inserted with its last status in the same transaction.
    pub fn add_new(&mut self, changes: &OrderChanges<'a>, classified: ClassifiedChanges<'a>) {
        self.verdicts.extend(classified.verdicts);
        classified.rows.iter().for_each(|row| self.history.push(changes.order_id, row));
    }

    /// Plans changes of an order that the table has, or of one that it does not have.
    pub fn add_stored(&mut self, changes: &OrderChanges<'a>, order: Option<&'a LockedOrder>, history: &'a History) {
        let Some(order) = order else {
            self.verdicts.extend(changes.events.iter().map(|_| Verdict::Rejected(RejectReason::UnknownOrder)));
            return;
        };
        let classified = classify(order.state(), history, &changes.events);
        if let Some((sequence, status)) = classified.latest {
            self.updates.push(changes.order_id, status, sequence);
        }
        self.add_new(changes, classified);
    }

    /// Plans changes of orders that are all in the table, or unknown. Orders and histories are by order id.
    pub fn of_stored(
        changes: &[OrderChanges<'a>],
        orders: &'a HashMap<String, LockedOrder>,
        histories: &'a HashMap<String, History>,
        no_history: &'a History,
    ) -> Self {
        let mut plan = Self::default();
        for changes in changes {
            let history = histories.get(changes.order_id).unwrap_or(no_history);
            plan.add_stored(changes, orders.get(changes.order_id), history);
        }
        plan
    }
}
