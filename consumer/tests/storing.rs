//! Inserts into a real table: duplicates, conflicts, refused rows, a connection that breaks.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod conflicts;
mod failures;

use std::{sync::Arc, time::Duration};

use chrono::DateTime;
use consumer::{
    health::ConsumerHealth,
    model::{OrderRow, PartitionHandle, ProductAttributes, RejectReason, UserAttributes, WorkerId},
    retry_scope::{Cancelled, RetryScope},
    settings::StatementSettings,
    sink::{
        batch::{InsertedBatch, insert_batch},
        database::OrderDatabase,
        order_sink::BatchRow,
    },
};
use shared::{
    database::StatementMode,
    order::{OrderPlaced, PaymentMethod, PlacedStatus},
    wire::ReceivedOrder,
};
use testbed::Testbed;
use tokio_util::sync::CancellationToken;

fn row(number: usize, user_id: &str) -> OrderRow {
    let event = OrderPlaced {
        user_id: user_id.into(),
        product_id: "P000001".into(),
        quantity: 1,
        total_amount: 1_000,
        shipping_cost: 0,
        discount_amount: 0,
        payment_method: PaymentMethod::Card,
        status: PlacedStatus::Paid,
        created_at: DateTime::from_timestamp_nanos(1_700_000_000_123_456_789),
    };
    let user = UserAttributes { gender: "F".to_owned(), age_group: "30대".to_owned(), region: "제주".to_owned() };
    OrderRow {
        order: ReceivedOrder { order_id: format!("order-{number:05}"), event },
        user: Arc::new(user),
        product: Arc::new(ProductAttributes { category: "식품".to_owned() }),
    }
}

fn statements(statements: StatementMode) -> StatementSettings {
    StatementSettings { statements, statement_deadline: Duration::from_secs(5) }
}

fn database(bed: &Testbed, health: &Arc<ConsumerHealth>) -> OrderDatabase {
    database_with(bed, statements(StatementMode::Prepared), health)
}

fn database_with(bed: &Testbed, settings: StatementSettings, health: &Arc<ConsumerHealth>) -> OrderDatabase {
    OrderDatabase::new(bed.database.clone(), settings, WorkerId::of_partition(0, 1), health.clone())
}

async fn insert(
    database: &mut OrderDatabase,
    rows: &[&OrderRow],
    scope: &mut RetryScope<'_>,
) -> Result<InsertedBatch, Cancelled> {
    let partition = PartitionHandle::new(0);
    let rows: Vec<BatchRow<'_>> = rows.iter().map(|row| BatchRow { row, partition: &partition }).collect();
    insert_batch(database, &rows, scope).await
}

/// The rejected rows, each with the SQLSTATE, or the fields that differ from the stored order.
fn rejected(batch: &InsertedBatch) -> Vec<(usize, String)> {
    let reason = |reason: &RejectReason| match reason {
        RejectReason::RefusedByTable(error) => error.sqlstate().unwrap().to_owned(),
        RejectReason::Conflicting(differences) => {
            differences.iter().map(|difference| difference.field).collect::<Vec<_>>().join(",")
        }
        other => other.kind().to_owned() + ": " + &other.to_string(),
    };
    let mut rejected: Vec<_> = batch.rejected.iter().map(|(row, why)| (*row, reason(why))).collect();
    rejected.sort_unstable();
    rejected
}

fn texts<const N: usize>(rejected: [(usize, &str); N]) -> Vec<(usize, String)> {
    rejected.map(|(row, reason)| (row, reason.to_owned())).to_vec()
}

async fn stored(bed: &Testbed) -> i64 {
    bed.sql().await.query_one("SELECT count(*) FROM orders", &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_batch_with_refused_rows_stores_the_rest() {
    let bed = Testbed::new("refused_rows").await;
    let (health, force_stop) = (Arc::default(), CancellationToken::new());
    let mut rows: Vec<OrderRow> = (0..2_000).map(|n| row(n, "U00000001")).collect();
    for bad in [0, 777, 1_999] {
        rows[bad] = row(bad, "nobody");
    }
    rows[1_000].order.event.quantity = -1;
    let rows: Vec<&OrderRow> = rows.iter().collect();
    let result =
        insert(&mut database(&bed, &health), &rows, &mut RetryScope::new(&force_stop, &|| false)).await.unwrap();

    let expected = [(0, "23503"), (777, "23503"), (1_000, "23514"), (1_999, "23503")];
    assert_eq!(rejected(&result), texts(expected));
    assert_eq!((result.inserted, stored(&bed).await), (1_996, 1_996));
}

#[tokio::test]
async fn storing_a_batch_twice_changes_nothing() {
    let bed = Testbed::new("stored_twice").await;
    let (health, force_stop) = (Arc::default(), CancellationToken::new());
    let rows: Vec<OrderRow> = (0..150).map(|n| row(n.min(99), "U00000001")).collect();
    let rows: Vec<&OrderRow> = rows.iter().collect();
    let mut database = database(&bed, &health);
    for expected in [100, 0] {
        let result = insert(&mut database, &rows, &mut RetryScope::new(&force_stop, &|| false)).await.unwrap();
        assert_eq!((result.inserted, result.rejected.len()), (expected, 0));
    }
    assert_eq!(stored(&bed).await, 100);
}

#[tokio::test]
async fn a_row_is_stored_with_all_its_columns() {
    let bed = Testbed::new("all_columns").await;
    let (health, force_stop) = (Arc::default(), CancellationToken::new());
    insert(&mut database(&bed, &health), &[&row(1, "U00000001")], &mut RetryScope::new(&force_stop, &|| false))
        .await
        .unwrap();
    let query = "SELECT concat_ws('|', order_id, user_id, product_id, quantity, total_amount, shipping_cost, \
                 discount_amount, payment_method, \
                 status, category, user_region, user_gender, user_age_group) FROM orders";
    let stored: String = bed.sql().await.query_one(query, &[]).await.unwrap().get(0);
    assert_eq!(stored, "order-00001|U00000001|P000001|1|1000|0|0|card|paid|식품|제주|F|30대");
}

#[tokio::test]
async fn unnamed_statements_leave_nothing_on_a_connection() {
    let bed = Testbed::new("unnamed").await;
    let (health, force_stop) = (Arc::new(ConsumerHealth::default()), CancellationToken::new());
    let mut database = database_with(&bed, statements(StatementMode::Unnamed), &health);
    let mut scope = RetryScope::new(&force_stop, &|| false);
    assert_eq!(insert(&mut database, &[&row(1, "U00000001")], &mut scope).await.unwrap().inserted, 1);
    let refused = insert(&mut database, &[&row(2, "nobody")], &mut scope).await.unwrap();
    assert_eq!(rejected(&refused), texts([(0, "23503")]));
    let client = database.connected(&mut scope).await.unwrap();
    let named = diesel::dsl::sql::<diesel::sql_types::Text>("SELECT name FROM pg_prepared_statements");
    assert_eq!(client.query(&named).await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_broken_connection_is_opened_again_and_the_batch_stored() {
    let bed = Testbed::new("broken_connection").await;
    let (health, force_stop) = (Arc::default(), CancellationToken::new());
    let mut database = database(&bed, &health);
    for number in 0..3 {
        insert(&mut database, &[&row(number, "U00000001")], &mut RetryScope::new(&force_stop, &|| false))
            .await
            .unwrap();
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        bed.sql().await.batch_execute(end).await.unwrap();
    }
    assert_eq!(stored(&bed).await, 3);
}

#[tokio::test]
async fn an_outage_is_waited_out_until_the_stop_cancels_it() {
    let bed = Testbed::new("cancelled").await;
    let (health, force_stop) = (Arc::new(ConsumerHealth::default()), CancellationToken::new());
    let nowhere = bed.database.with_database("no_such_database");
    let settings = statements(StatementMode::Prepared);
    let mut database = OrderDatabase::new(nowhere, settings, WorkerId::of_partition(0, 1), health.clone());
    let row = row(1, "U00000001");
    let rows = [&row];
    let mut scope = RetryScope::new(&force_stop, &|| false);
    let storing = insert(&mut database, &rows, &mut scope);
    let stopping = async {
        testbed::eventually("the outage is noticed", Duration::from_secs(20), async || {
            health.status().ready().is_err()
        })
        .await;
        force_stop.cancel();
    };
    let (result, ()) = tokio::join!(storing, stopping);
    assert_eq!(result.unwrap_err(), Cancelled);
}
