//! Goes on with an order when it is acknowledged, and when a change of it is.

use shared::lifecycle::OrderStatus;

use super::{
    pending::{OrderChange, PendingChange, PendingChanges},
    plan::Plans,
};

/// The histories of the orders of a run: what is planned, and what is pending.
pub struct Histories {
    plans: Plans,
    pending: PendingChanges,
}

/// A change that was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    pub status: OrderStatus,
    /// Nanoseconds after the start.
    pub due: u64,
    /// Changes that will not be sent: there are too many pending ones.
    pub skipped: u64,
}

impl Histories {
    pub fn new(plans: Plans, pending: PendingChanges) -> Self {
        Self { plans, pending }
    }

    pub fn pending(&mut self) -> &mut PendingChanges {
        &mut self.pending
    }

    /// The plan of an order.
    pub fn plans(&mut self) -> &mut Plans {
        &mut self.plans
    }

    /// Goes on with the order after `change`, or after it was placed if that is number 0. Returns how many changes will
    /// not be sent, since there are too many pending ones.
    pub fn go_on(&mut self, change: OrderChange) -> u64 {
        let OrderChange { order, sequence, placed, .. } = change;
        let mut later = self.plans.history(order.number, placed).skip(sequence.into());
        let Some(next) = later.next() else { return 0 };
        let change = OrderChange { sequence: sequence + 1, ..change };
        let is_added = self.pending.add(PendingChange { due: order.due + next.after, change });
        if is_added { 0 } else { 1 + later.count() as u64 }
    }

    /// The change was acknowledged: the next one of its order is pending from now on.
    ///
    /// # Panics
    /// When the order has no such change.
    pub fn acknowledged(&mut self, change: OrderChange) -> Acknowledged {
        let OrderChange { order, sequence, placed, .. } = change;
        let planned = self.plans.history(order.number, placed).nth(usize::from(sequence) - 1);
        let planned = planned.expect("a change that was sent is in the plan of its order");
        let (status, due) = (planned.status, order.due + planned.after);
        Acknowledged { status, due, skipped: self.go_on(change) }
    }
}
