//! Rows into the real table: duplicates, refused rows, a connection that breaks.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::{sync::Arc, time::Duration};

use chrono::Utc;
use consumer::{
    enrich::{ProductFacts, UserFacts},
    health::Health,
    outage::{GivenUp, Outage},
    settings::StatementSettings,
    store::{OrderRow, Stored, store},
    table::Database,
};
use shared::{
    database::StatementMode,
    order::{OrderPlaced, OrderStatus, PaymentMethod},
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
        status: OrderStatus::Paid,
        created_at: Utc::now(),
    };
    let user = UserFacts { gender: "F".to_owned(), age_group: "30대".to_owned(), region: "제주".to_owned() };
    OrderRow {
        order: ReceivedOrder { order_id: format!("order-{number:05}"), event },
        user: Arc::new(user),
        product: Arc::new(ProductFacts { category: "식품".to_owned() }),
    }
}

fn statements(statements: StatementMode) -> StatementSettings {
    StatementSettings { statements, statement_deadline: Duration::from_secs(5) }
}

fn database(bed: &Testbed, health: &Arc<Health>) -> Database {
    Database::new(bed.database.clone(), statements(StatementMode::Prepared), health.clone())
}

async fn store_in(database: &mut Database, rows: &[&OrderRow], outage: &mut Outage<'_>) -> Result<Stored, GivenUp> {
    store(database, rows, &|_| true, outage).await
}

async fn stored(bed: &Testbed) -> i64 {
    bed.sql().await.query_one("SELECT count(*) FROM orders", &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_batch_with_refused_rows_stores_the_rest() {
    let bed = Testbed::new("refused_rows").await;
    let (health, abandon) = (Arc::default(), CancellationToken::new());
    let mut rows: Vec<OrderRow> = (0..2_000).map(|n| row(n, "U00000001")).collect();
    for bad in [0, 777, 1_999] {
        rows[bad] = row(bad, "nobody");
    }
    rows[1_000].order.event.quantity = -1;
    let rows: Vec<&OrderRow> = rows.iter().collect();
    let result = store_in(&mut database(&bed, &health), &rows, &mut Outage::until(&abandon, &|| false)).await.unwrap();

    let mut refused: Vec<(usize, &str)> =
        result.refused.iter().map(|(at, error)| (*at, error.sqlstate().unwrap())).collect();
    refused.sort_unstable();
    assert_eq!(refused, [(0, "23503"), (777, "23503"), (1_000, "23514"), (1_999, "23503")]);
    assert_eq!((result.inserted, stored(&bed).await), (1_996, 1_996));
}

#[tokio::test]
async fn storing_a_batch_twice_changes_nothing() {
    let bed = Testbed::new("stored_twice").await;
    let (health, abandon) = (Arc::default(), CancellationToken::new());
    let rows: Vec<OrderRow> = (0..100).chain(50..100).map(|n| row(n, "U00000001")).collect();
    let rows: Vec<&OrderRow> = rows.iter().collect();
    let mut database = database(&bed, &health);
    for expected in [100, 0] {
        let result = store_in(&mut database, &rows, &mut Outage::until(&abandon, &|| false)).await.unwrap();
        assert_eq!((result.inserted, result.refused.len()), (expected, 0));
    }
    assert_eq!(stored(&bed).await, 100);
}

#[tokio::test]
async fn a_row_is_stored_with_all_its_columns() {
    let bed = Testbed::new("all_columns").await;
    let (health, abandon) = (Arc::default(), CancellationToken::new());
    store_in(&mut database(&bed, &health), &[&row(1, "U00000001")], &mut Outage::until(&abandon, &|| false))
        .await
        .unwrap();
    let query = "SELECT concat_ws('|', order_id, user_id, product_id, quantity, total_amount, shipping_cost, discount_amount, payment_method, \
                 status, category, user_region, user_gender, user_age_group) FROM orders";
    let stored: String = bed.sql().await.query_one(query, &[]).await.unwrap().get(0);
    assert_eq!(stored, "order-00001|U00000001|P000001|1|1000|0|0|card|paid|식품|제주|F|30대");
}

#[tokio::test]
async fn unnamed_statements_leave_nothing_on_a_connection() {
    let bed = Testbed::new("unnamed").await;
    let (health, abandon) = (Arc::new(Health::default()), CancellationToken::new());
    let mut database = Database::new(bed.database.clone(), statements(StatementMode::Unnamed), health.clone());
    let mut outage = Outage::until(&abandon, &|| false);
    assert_eq!(store_in(&mut database, &[&row(1, "U00000001")], &mut outage).await.unwrap().inserted, 1);
    assert_eq!(
        store_in(&mut database, &[&row(2, "nobody")], &mut outage).await.unwrap().refused[0].1.sqlstate(),
        Some("23503")
    );
    let client = database.connected(&mut outage).await.unwrap();
    let named = diesel::dsl::sql::<diesel::sql_types::Text>("SELECT name FROM pg_prepared_statements");
    assert_eq!(client.query(&named).await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_broken_connection_is_opened_again_and_the_batch_stored() {
    let bed = Testbed::new("broken_connection").await;
    let (health, abandon) = (Arc::default(), CancellationToken::new());
    let mut database = database(&bed, &health);
    for number in 0..3 {
        store_in(&mut database, &[&row(number, "U00000001")], &mut Outage::until(&abandon, &|| false)).await.unwrap();
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        bed.sql().await.batch_execute(end).await.unwrap();
    }
    assert_eq!(stored(&bed).await, 3);
}

#[tokio::test]
async fn an_outage_is_waited_out_until_the_stop_gives_up() {
    let bed = Testbed::new("given_up").await;
    let (health, abandon) = (Arc::new(Health::default()), CancellationToken::new());
    let nowhere = bed.database.with_database("no_such_database");
    let mut database = Database::new(nowhere, statements(StatementMode::Prepared), health.clone());
    let row = row(1, "U00000001");
    let rows = [&row];
    let mut outage = Outage::until(&abandon, &|| false);
    let storing = store_in(&mut database, &rows, &mut outage);
    let giving_up = async {
        testbed::eventually("the outage is noticed", Duration::from_secs(20), async || health.ready().is_err()).await;
        abandon.cancel();
    };
    let (result, ()) = tokio::join!(storing, giving_up);
    assert_eq!(result.unwrap_err(), GivenUp);
}

/// Or each try would leave a backend behind, until the server takes no more connections.
#[tokio::test]
async fn a_statement_that_is_given_up_does_not_go_on_in_the_server() {
    let bed = Testbed::new("given_up_statement").await;
    let (health, abandon) = (Arc::new(Health::default()), CancellationToken::new());
    let (other, watching) = (bed.sql().await, bed.sql().await);
    other.batch_execute("BEGIN; LOCK TABLE orders IN SHARE MODE").await.unwrap();
    let impatient =
        StatementSettings { statements: StatementMode::Prepared, statement_deadline: Duration::from_millis(200) };
    let mut database = Database::new(bed.database.clone(), impatient, health.clone());
    let row = row(1, "U00000001");
    let rows = [&row];
    let mut outage = Outage::until(&abandon, &|| false);
    let releasing = async {
        // Long enough for three tries.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let waiting =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        assert!(watching.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) <= 1);
        other.batch_execute("COMMIT").await.unwrap();
    };
    let (result, ()) = tokio::join!(store_in(&mut database, &rows, &mut outage), releasing);
    assert_eq!(result.unwrap().inserted, 1);
}

#[tokio::test]
async fn a_row_that_another_writer_locks_for_too_long_is_an_outage_and_not_the_rows_fault() {
    let bed = Testbed::new("too_long").await;
    let (health, abandon) = (Arc::new(Health::default()), CancellationToken::new());
    let limit = format!("ALTER DATABASE \"{}\" SET statement_timeout = '300ms'", bed.database.database());
    bed.sql().await.batch_execute(&limit).await.unwrap();
    let other = bed.sql().await;
    other
        .batch_execute("SET statement_timeout = 0; BEGIN; SELECT FROM users WHERE user_id = 'U00000001' FOR UPDATE")
        .await
        .unwrap();
    let mut database = database(&bed, &health);
    let row = row(1, "U00000001");
    let rows = [&row];
    let mut outage = Outage::until(&abandon, &|| false);
    let releasing = async {
        testbed::eventually("the outage is noticed", Duration::from_secs(20), async || health.ready().is_err()).await;
        other.batch_execute("ROLLBACK").await.unwrap();
    };
    let (result, ()) = tokio::join!(store_in(&mut database, &rows, &mut outage), releasing);
    assert_eq!((result.unwrap().inserted, health.ready()), (1, Ok(())));
}
