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

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, VecDeque},
        sync::Arc,
    };

    use proptest::prelude::*;
    use shared::order::PlacedStatus;

    use super::*;
    use crate::{
        lifecycle::{default_text, read},
        pace::Order,
    };

    /// What is in flight: number 0 of a history is the order itself.
    #[derive(Clone, Copy, Debug)]
    struct InFlight {
        change: OrderChange,
        due: u64,
    }

    /// An order with its partition.
    fn order(number: u64, due: u64, placed: PlacedStatus) -> InFlight {
        let change = OrderChange { order: Order { number, due }, partition: number as i32 % 9, sequence: 0, placed };
        InFlight { change, due }
    }

    fn any_orders() -> impl Strategy<Value = Vec<InFlight>> {
        let placed = prop_oneof![Just(PlacedStatus::Paid), Just(PlacedStatus::PaymentPending)];
        prop::collection::vec((0..20_000_000_000u64, placed), 1..60).prop_map(|drawn| {
            let orders = (0..).zip(drawn);
            orders.map(|(number, (due, placed))| order(number, due, placed)).collect()
        })
    }

    proptest! {
        /// Acknowledgements come in any order, and after any time.
        #[test]
        fn no_change_is_sent_early_or_before_the_one_before_it_and_all_are_sent_or_skipped(
            orders in any_orders(),
            seed: u64,
            limit in 1..80usize,
            choices in prop::collection::vec((0..100usize, 0..3_000_000_000u64, 0..20u8), 1..200),
        ) {
            let lifecycle = Arc::new(read("f", default_text()).unwrap());
            let mut plans = Plans::new(lifecycle.clone(), seed);
            let planned: BTreeMap<u64, Vec<u64>> = orders.iter().map(|it| {
                let OrderChange { order, placed, .. } = it.change;
                (order.number, plans.history(order.number, placed).map(|change| order.due + change.after).collect())
            }).collect();
            let mut histories = Histories::new(Plans::new(lifecycle, seed), PendingChanges::new(limit));
            let (mut in_flight, mut acknowledged) = (VecDeque::from(orders), BTreeMap::<u64, u8>::new());
            let (mut now, mut sent, mut skipped, mut ended) = (0, 0, 0, 0);
            let mut choices = choices.iter().cycle();
            while !in_flight.is_empty() || !histories.pending().is_empty() {
                let (which, time, result) = *choices.next().unwrap();
                now += time;
                if let Some(InFlight { change, due }) = in_flight.remove(which % in_flight.len().max(1)) {
                    now = now.max(due);
                    let number = change.order.number;
                    if result == 0 {
                        ended += planned[&number].len() as u64 - u64::from(change.sequence);
                    } else if change.sequence == 0 {
                        skipped += histories.go_on(change);
                        acknowledged.insert(number, 0);
                    } else {
                        let found = histories.acknowledged(change);
                        prop_assert_eq!(found.due, due);
                        skipped += found.skipped;
                        acknowledged.insert(number, change.sequence);
                    }
                }
                while let Some(PendingChange { due, change }) = histories.pending().take_due(now as i64) {
                    let number = change.order.number;
                    prop_assert!(due <= now);
                    prop_assert_eq!(due, planned[&number][usize::from(change.sequence) - 1]);
                    prop_assert_eq!(acknowledged[&number] + 1, change.sequence);
                    prop_assert_eq!(change.partition, number as i32 % 9);
                    sent += 1;
                    in_flight.push_back(InFlight { change, due });
                }
                prop_assert!(histories.pending().len() <= limit);
            }
            let all: u64 = planned.values().map(|changes| changes.len() as u64).sum();
            prop_assert_eq!(all, sent + skipped + ended);
        }
    }
}
