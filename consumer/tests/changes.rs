//! Stores orders and changes of their statuses in real tables.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod refused_changes;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use consumer::{
    health::ConsumerHealth,
    model::{OrderRow, PartitionHandle, ProductAttributes, RejectReason, UserAttributes, WorkerId},
    retry_scope::RetryScope,
    settings::StatementSettings,
    sink::{
        database::OrderDatabase,
        order_sink::{BatchChange, BatchRow},
        store::{StoredBatch, store_batch},
    },
};
use shared::{
    database::StatementMode,
    lifecycle::{OrderStatus, OrderStatusChanged},
    order::{OrderPlaced, PaymentMethod, PlacedStatus},
    wire::{ReceivedChange, ReceivedOrder},
};
use testbed::Testbed;
use tokio_util::sync::CancellationToken;

use OrderStatus::{Cancelled, Delivered, Paid, Processing, Refunded, Shipped};

/// 2023-11-14, with a fraction that the table rounds.
fn time(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_nanos(1_700_000_000_123_456_789 + seconds * 1_000_000_000)
}

fn order(number: usize) -> OrderRow {
    let event = OrderPlaced {
        user_id: "U00000001".into(),
        product_id: "P000001".into(),
        quantity: 1,
        total_amount: 1_000,
        shipping_cost: 0,
        discount_amount: 0,
        payment_method: PaymentMethod::Card,
        status: PlacedStatus::Paid,
        created_at: time(0),
    };
    let user = UserAttributes { gender: "F".to_owned(), age_group: "30대".to_owned(), region: "제주".to_owned() };
    OrderRow {
        order: ReceivedOrder { order_id: format!("order-{number:05}"), event },
        user: Arc::new(user),
        product: Arc::new(ProductAttributes { category: "식품".to_owned() }),
    }
}

fn change(number: usize, sequence: i32, status: OrderStatus) -> ReceivedChange {
    with_reason(number, sequence, status, "why")
}

fn with_reason(number: usize, sequence: i32, status: OrderStatus, reason: &str) -> ReceivedChange {
    let occurred_at = time(i64::from(sequence));
    let event = OrderStatusChanged { sequence, status, reason: reason.to_owned(), occurred_at };
    ReceivedChange { order_id: format!("order-{number:05}"), event }
}

/// A worker of the consumer.
struct Writer {
    database: OrderDatabase,
    health: Arc<ConsumerHealth>,
    force_stop: CancellationToken,
    partition: Arc<PartitionHandle>,
}

impl Writer {
    fn new(bed: &Testbed) -> Self {
        Self::with(bed, StatementMode::Prepared)
    }

    fn with(bed: &Testbed, statements: StatementMode) -> Self {
        let health = Arc::new(ConsumerHealth::default());
        let settings = StatementSettings { statements, statement_deadline: Duration::from_secs(5) };
        let worker = WorkerId::of_partition(0, 1);
        let database = OrderDatabase::new(bed.database.clone(), settings, worker, health.clone());
        Self { database, health, force_stop: CancellationToken::new(), partition: PartitionHandle::new(0) }
    }

    /// Stores a batch, as the pipeline sorts it.
    async fn store(&mut self, orders: &[OrderRow], changes: &[ReceivedChange]) -> StoredBatch {
        let partition = &*self.partition;
        let mut rows: Vec<BatchRow<'_>> = orders.iter().map(|row| BatchRow { row, partition }).collect();
        rows.sort_by(|a, b| a.row.order.order_id.cmp(&b.row.order.order_id));
        let mut changes: Vec<BatchChange<'_>> =
            changes.iter().map(|change| BatchChange { change, partition }).collect();
        let key = |change: &ReceivedChange| (change.order_id.clone(), change.event.sequence);
        changes.sort_by_key(|change| key(change.change));
        let mut scope = RetryScope::new(&self.force_stop, &|| false);
        store_batch(&mut self.database, &rows, &changes, &mut scope).await.unwrap()
    }
}

/// What became of the changes of a batch: the number of new ones, and the message of each rejected one, by its index in
/// the sorted batch.
fn changes(batch: &StoredBatch) -> (u64, Vec<(usize, String)>) {
    let message = |reason: &RejectReason| format!("{}: {reason}", reason.kind());
    let mut rejected: Vec<_> = batch.changes.rejected.iter().map(|(at, reason)| (*at, message(reason))).collect();
    rejected.sort_unstable();
    (batch.changes.stored, rejected)
}

/// Status and sequence of an order, and its history.
async fn history(bed: &Testbed, number: usize) -> String {
    let query = "SELECT concat_ws(' ', status, status_sequence, '|', (SELECT string_agg(concat_ws(':', sequence, \
                 e.status, nullif(reason, '')), ' ' ORDER BY sequence) FROM order_events e \
                 WHERE e.order_id = orders.order_id)) FROM orders WHERE order_id = $1";
    bed.sql().await.query_one(query, &[&format!("order-{number:05}")]).await.unwrap().get(0)
}

#[tokio::test]
async fn an_order_and_its_changes_in_one_batch_are_stored_with_the_last_status_and_the_whole_history() {
    for statements in [StatementMode::Prepared, StatementMode::Unnamed] {
        let bed = Testbed::new("order_with_changes").await;
        let mut writer = Writer::with(&bed, statements);
        let batch = [change(1, 1, Processing), change(1, 2, Shipped), change(2, 1, Cancelled)];
        let stored = writer.store(&[order(1), order(2), order(3)], &batch).await;
        assert_eq!((stored.orders.inserted, changes(&stored)), (3, (3, vec![])));
        assert_eq!(history(&bed, 1).await, "shipped 2 | 0:paid 1:processing:why 2:shipped:why");
        assert_eq!(history(&bed, 2).await, "cancelled 1 | 0:paid 1:cancelled:why");
        assert_eq!(history(&bed, 3).await, "paid 0 |");
        let times = "SELECT string_agg(to_char(occurred_at AT TIME ZONE 'UTC', 'SS.US'), ' ' ORDER BY sequence) \
                     FROM order_events WHERE order_id = 'order-00001'";
        let times: String = bed.sql().await.query_one(times, &[]).await.unwrap().get(0);
        assert_eq!(times, "20.123456 21.123456 22.123456", "that of number 0 is that of the order");
    }
}

#[tokio::test]
async fn changes_in_any_order_and_repeats_lead_to_the_same_history() {
    let bed = Testbed::new("late_changes").await;
    let mut writer = Writer::new(&bed);
    writer.store(&[order(1), order(2)], &[]).await;
    let stored = writer.store(&[], &[change(1, 3, Delivered), change(2, 1, Processing)]).await;
    assert_eq!(changes(&stored), (2, vec![]));
    assert_eq!(history(&bed, 1).await, "delivered 3 | 0:paid 3:delivered:why");
    let updated_at = "SELECT updated_at FROM orders WHERE order_id = 'order-00001'";
    let before: DateTime<Utc> = bed.sql().await.query_one(updated_at, &[]).await.unwrap().get(0);
    // The first one fills a gap, the second one is new, and the others are repeats.
    let batch = [change(1, 1, Processing), change(1, 4, Refunded), change(1, 3, Delivered), change(2, 1, Processing)];
    for new in [2, 0] {
        let stored = writer.store(&[order(1), order(4)], &batch).await;
        assert_eq!((changes(&stored), stored.orders.rejected.len()), ((new, vec![]), 0));
    }
    let late = writer.store(&[], &[change(1, 2, Shipped)]).await;
    assert_eq!(changes(&late), (1, vec![]));
    let whole = "refunded 4 | 0:paid 1:processing:why 2:shipped:why 3:delivered:why 4:refunded:why";
    assert_eq!(history(&bed, 1).await, whole);
    let after: DateTime<Utc> = bed.sql().await.query_one(updated_at, &[]).await.unwrap().get(0);
    assert!(after > before, "the row was written after {before}, not at {after}");
}

#[tokio::test]
async fn an_order_that_was_changed_is_compared_with_the_status_that_it_was_placed_with() {
    let bed = Testbed::new("placed_status").await;
    let mut writer = Writer::new(&bed);
    writer.store(&[order(1)], &[change(1, 1, Processing)]).await;
    for more in [vec![], vec![change(1, 2, Shipped)]] {
        let stored = writer.store(&[order(1)], &more).await;
        assert_eq!((stored.orders.inserted, stored.orders.rejected.len()), (0, 0));
    }
    let mut other = order(1);
    other.order.event.status = PlacedStatus::PaymentPending;
    let stored = writer.store(&[other], &[]).await;
    let (_, reason) = &stored.orders.rejected[0];
    assert!(reason.to_string().contains(r#"status (stored "paid", received "payment_pending")"#), "{reason}");
    assert_eq!(history(&bed, 1).await, "shipped 2 | 0:paid 1:processing:why 2:shipped:why");
}

#[tokio::test]
async fn two_writers_with_overlapping_batches_never_deadlock_and_store_each_change_once() {
    const ROUNDS: usize = 60;
    const ORDERS: usize = 40;
    let bed = Testbed::new("two_writers").await;
    let mut writers = [Writer::new(&bed), Writer::new(&bed), Writer::new(&bed)];
    for round in 0..ROUNDS {
        let number = |order: usize| round * ORDERS + order;
        let orders: Vec<OrderRow> = (0..ORDERS).map(|at| order(number(at))).collect();
        let path = [Processing, Shipped, Delivered];
        let batch: Vec<ReceivedChange> = (0..ORDERS)
            .flat_map(|at| {
                path.into_iter().zip(1..).map(move |(status, sequence)| change(number(at), sequence, status))
            })
            .collect();
        let [first, second, third] = &mut writers;
        // The same orders, of which the third one does not know that they exist.
        let half = batch.len() / 2;
        let stored = tokio::join!(
            first.store(&orders, &batch),
            second.store(&orders[ORDERS / 4..], &batch[half..]),
            third.store(&orders[..ORDERS / 2], &batch[..half]),
        );
        let new = [&stored.0, &stored.1, &stored.2].map(|batch| {
            assert_eq!((&batch.changes.rejected.len(), &batch.orders.rejected.len()), (&0, &0), "{batch:?}");
            batch.changes.stored
        });
        assert_eq!(new.iter().sum::<u64>(), batch.len() as u64, "{new:?}");
    }
    let sql = bed.sql().await;
    let query = "SELECT (SELECT count(*) FROM orders WHERE status = 'delivered' AND status_sequence = 3), \
                 (SELECT count(*) FROM order_events)";
    let row = sql.query_one(query, &[]).await.unwrap();
    let expected = ((ROUNDS * ORDERS) as i64, (ROUNDS * ORDERS * 4) as i64);
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), expected);
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    let deadlocks: i64 = sql.query_one(deadlocks, &[]).await.unwrap().get(0);
    assert_eq!(deadlocks, 0);
}

#[tokio::test]
async fn connections_that_break_at_any_time_leave_no_half_of_a_change() {
    let bed = Testbed::new("killed_changes").await;
    let (mut writer, killer) = (Writer::new(&bed), bed.sql().await);
    let done = CancellationToken::new();
    let killing = async {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'";
        // Often, in each step of a batch; and not without end, since a new connection takes as long as a batch.
        for kill in 0..60 {
            if !done.is_cancelled() {
                killer.batch_execute(end).await.unwrap();
                tokio::time::sleep(Duration::from_millis(kill * 7 % 45)).await;
            }
        }
    };
    let storing = async {
        for number in 0..60 {
            let orders: Vec<OrderRow> = (0..20).map(|order_number| order(number * 20 + order_number)).collect();
            let placed: Vec<ReceivedChange> = (0..20).map(|at| change(number * 20 + at, 1, Processing)).collect();
            assert!(writer.store(&orders, &placed).await.changes.rejected.is_empty());
            let later: Vec<ReceivedChange> = (0..20).map(|at| change(number * 20 + at, 2, Shipped)).collect();
            assert!(writer.store(&[], &later).await.changes.rejected.is_empty());
        }
        done.cancel();
    };
    tokio::join!(storing, killing);
    let wrong = "SELECT count(*) FROM orders o WHERE (status, status_sequence) <> ('shipped', 2) OR \
                 (SELECT string_agg(e.status, ' ' ORDER BY sequence) FROM order_events e \
                 WHERE e.order_id = o.order_id) <> 'paid processing shipped'";
    let wrong: i64 = bed.sql().await.query_one(wrong, &[]).await.unwrap().get(0);
    let orders: i64 = bed.sql().await.query_one("SELECT count(*) FROM orders", &[]).await.unwrap().get(0);
    assert_eq!((orders, wrong), (1_200, 0));
}

#[tokio::test]
async fn a_status_that_was_set_by_hand_decides_what_may_follow() {
    let bed = Testbed::new("set_by_hand").await;
    let mut writer = Writer::new(&bed);
    writer.store(&[order(1), order(2)], &[]).await;
    let by_hand = "UPDATE orders SET status = CASE order_id WHEN 'order-00001' THEN 'on_hold' ELSE 'shipped' END";
    bed.sql().await.batch_execute(by_hand).await.unwrap();
    let stored = writer.store(&[], &[change(1, 1, Processing), change(2, 1, Delivered)]).await;
    let (new, rejected) = changes(&stored);
    assert_eq!((new, rejected.len(), rejected[0].0), (1, 1, 0), "{rejected:?}");
    let message = r#"illegal_transition: no transitions lead from "on_hold" (number 0) to "processing" (number 1)"#;
    assert!(rejected[0].1.starts_with(message), "{}", rejected[0].1);
    assert_eq!(history(&bed, 2).await, "delivered 1 | 0:shipped 1:delivered:why");
    // A lost history is not made up.
    bed.sql().await.batch_execute("TRUNCATE order_events").await.unwrap();
    let stored = writer.store(&[], &[change(2, 1, Delivered), change(2, 2, Refunded), change(2, 1, Paid)]).await;
    let (new, rejected) = changes(&stored);
    assert_eq!((new, rejected.len()), (2, 1), "{rejected:?}");
    assert_eq!(history(&bed, 2).await, "refunded 2 | 1:delivered:why 2:refunded:why");
}
