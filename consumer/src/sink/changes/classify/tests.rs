use proptest::{collection::vec, prelude::*};

use super::*;

/// An order in the tables.
#[derive(Clone, Debug)]
struct Order {
    status: String,
    sequence: i32,
    history: History,
}

impl Order {
    fn placed(status: OrderStatus) -> Self {
        Self { status: status.as_str().to_owned(), sequence: 0, history: History::new() }
    }

    fn state(&self) -> OrderState<'_> {
        OrderState { status: &self.status, sequence: self.sequence, created_at: Some(DateTime::UNIX_EPOCH) }
    }

    /// Stores a batch of changes, and returns what became of each, sorted.
    fn store(&mut self, batch: &[OrderStatusChanged]) -> Vec<Verdict> {
        let mut changes: Vec<&OrderStatusChanged> = batch.iter().collect();
        changes.sort_by_key(|change| change.sequence);
        let before = self.clone();
        let ClassifiedChanges { verdicts, rows, latest } = classify(before.state(), &before.history, &changes);
        for HistoryRow { sequence, status, reason, occurred_at } in rows {
            let (status, reason) = (status.to_owned(), reason.to_owned());
            let row = StoredChange { status, reason, occurred_at: Some(occurred_at) };
            assert!(self.history.insert(sequence, row).is_none(), "number {sequence} twice");
        }
        if let Some((sequence, status)) = latest {
            assert!(sequence > self.sequence);
            (self.sequence, self.status) = (sequence, status.to_owned());
        }
        verdicts
    }

    fn statuses(&self) -> Vec<(i32, &str)> {
        self.history.iter().map(|(sequence, change)| (*sequence, change.status.as_str())).collect()
    }
}

fn change(sequence: i32, status: OrderStatus, reason: u8) -> OrderStatusChanged {
    let occurred_at = DateTime::from_timestamp(i64::from(reason), 0).unwrap();
    OrderStatusChanged { sequence, status, reason: reason.to_string(), occurred_at }
}

fn any_status() -> impl Strategy<Value = OrderStatus> {
    prop::sample::select(OrderStatus::ALL.to_vec())
}

fn any_change() -> impl Strategy<Value = OrderStatusChanged> {
    (1..7, any_status(), 0..2_u8).prop_map(|(sequence, status, reason)| change(sequence, status, reason))
}

/// A history along the transitions, as the choices say.
fn path(placed: OrderStatus, choices: &[usize]) -> Vec<OrderStatusChanged> {
    let (mut status, mut changes) = (placed, Vec::new());
    for (choice, sequence) in choices.iter().zip(1..) {
        let Some(next) = status.next().get(choice % status.next().len().max(1)) else { break };
        status = *next;
        changes.push(change(sequence, status, sequence as u8));
    }
    changes
}

proptest! {
    #[test]
    fn a_legal_history_is_complete_whatever_order_batches_and_repeats_it_comes_in(
        placed in any_status(),
        choices in vec(0..3_usize, 5),
        picks in vec((0..5_usize, any::<bool>()), 0..30),
        shuffle in any::<prop::sample::Index>(),
    ) {
        let path = path(placed, &choices);
        let mut order = Order::placed(placed);
        let mut batch = Vec::new();
        let rotated = (0..path.len()).map(|at| (at + shuffle.index(path.len())) % path.len().max(1));
        let all: Vec<(usize, bool)> = rotated.map(|at| (at, true)).collect();
        for (pick, ends_batch) in picks.into_iter().chain(all) {
            batch.extend(path.get(pick).cloned());
            if ends_batch {
                for verdict in order.store(&std::mem::take(&mut batch)) {
                    prop_assert!(!matches!(verdict, Verdict::Rejected(_)), "{verdict:?}");
                }
            }
        }
        let expected: Vec<(i32, &str)> = path.iter().map(|change| (change.sequence, change.status.as_str())).collect();
        let statuses = order.statuses();
        prop_assert_eq!(statuses.get(1..).unwrap_or_default(), expected.as_slice());
        prop_assert_eq!(statuses.first().map(|first| first.1), (!path.is_empty()).then_some(placed.as_str()));
        prop_assert_eq!((order.sequence, order.status.as_str()), *expected.last().unwrap_or(&(0, placed.as_str())));
    }

    #[test]
    fn whatever_changes_come_the_history_is_legal_and_the_order_has_its_latest_status(
        placed in any_status(),
        batches in vec(vec(any_change(), 0..5), 0..6),
    ) {
        let mut order = Order::placed(placed);
        for batch in batches {
            let before = order.history.len();
            let verdicts = order.store(&batch);
            let stored = verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Stored)).count();
            let placed_row = usize::from(before == 0 && stored > 0);
            prop_assert_eq!(order.history.len(), before + stored + placed_row);
            // What was stored or was there before is a duplicate from now on, and the rest is rejected again.
            let again = order.store(&batch);
            for (first, second) in verdicts.iter().zip(&again) {
                let was_rejected = matches!(first, Verdict::Rejected(_));
                prop_assert_eq!(was_rejected, matches!(second, Verdict::Rejected(_)), "{:?} {:?}", first, second);
                prop_assert!(!matches!(second, Verdict::Stored));
            }
        }
        let statuses = order.statuses();
        for pair in statuses.windows(2) {
            let (from, to): (OrderStatus, OrderStatus) = (pair[0].1.parse().unwrap(), pair[1].1.parse().unwrap());
            prop_assert!(from.leads_to(to, pair[0].0.abs_diff(pair[1].0)), "{statuses:?}");
        }
        prop_assert_eq!((order.sequence, order.status.as_str()), *statuses.last().unwrap_or(&(0, placed.as_str())));
    }

    #[test]
    fn no_text_and_no_sequence_of_the_tables_leads_to_a_panic(
        status in "[a-z_]{0,8}",
        sequence: i32,
        stored in vec((any::<i32>(), "[a-z_]{0,8}"), 0..4),
        received in vec((1..=i32::MAX, any_status()), 0..4),
    ) {
        let row = |status: &str| StoredChange { status: status.to_owned(), reason: String::new(), occurred_at: None };
        let history = stored.iter().map(|(sequence, status)| (*sequence, row(status))).collect();
        let changes: Vec<_> = received.iter().map(|(sequence, status)| change(*sequence, *status, 0)).collect();
        let changes: Vec<&OrderStatusChanged> = changes.iter().collect();
        let state = OrderState { status: &status, sequence, created_at: None };
        prop_assert_eq!(classify(state, &history, &changes).verdicts.len(), changes.len());
    }
}

/// A writer of before may have written the history without the status.
#[test]
fn a_status_that_is_behind_its_history_is_brought_forward() {
    let mut order = Order::placed(OrderStatus::Paid);
    order.store(&[change(1, OrderStatus::Processing, 1)]);
    (order.sequence, order.status) = (0, "paid".to_owned());
    assert!(matches!(order.store(&[change(1, OrderStatus::Processing, 1)])[0], Verdict::Duplicate));
    assert_eq!((order.sequence, order.status.as_str()), (1, "processing"));
}

#[test]
fn a_clock_that_goes_back_changes_nothing() {
    let mut order = Order::placed(OrderStatus::Paid);
    let times = [(1, OrderStatus::Processing, 30), (2, OrderStatus::Shipped, 20), (3, OrderStatus::Delivered, 10)];
    let verdicts = order.store(&times.map(|(sequence, status, time)| change(sequence, status, time)));
    assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Stored)), "{verdicts:?}");
    assert_eq!((order.sequence, order.status.as_str()), (3, "delivered"));
    assert_eq!(order.history[&1].occurred_at, DateTime::from_timestamp(30, 0));
}
