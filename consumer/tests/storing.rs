//! Inserts into a real table: duplicates, conflicts, refused rows, a connection that breaks.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::{collections::HashSet, sync::Arc, time::Duration};

use chrono::DateTime;
use consumer::{
    health::ConsumerHealth,
    model::{OrderRow, PartitionHandle, ProductAttributes, RejectReason, UserAttributes, WorkerId},
    retry_scope::{Cancelled, RetryScope},
    settings::StatementSettings,
    sink::{
        batch::{InsertedBatch, insert_batch},
        bisect::BatchRow,
        database::OrderDatabase,
    },
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

fn with_amount(number: usize, total_amount: i32) -> OrderRow {
    let mut row = row(number, "U00000001");
    row.order.event.total_amount = total_amount;
    row
}

#[tokio::test]
async fn an_order_with_the_id_of_a_stored_one_is_a_duplicate_if_equal_and_conflicting_if_not() {
    let bed = Testbed::new("conflicting").await;
    let (health, force_stop) = (Arc::default(), CancellationToken::new());
    let mut database = database(&bed, &health);
    let mut scope = RetryScope::new(&force_stop, &|| false);
    // Of two orders with one id in a batch, the first is stored. If it is refused, the next one is.
    let first =
        [with_amount(1, 1_000), with_amount(1, 1_001), with_amount(1, 1_000), row(2, "nobody"), row(2, "U00000001")];
    let result = insert(&mut database, &first.each_ref(), &mut scope).await.unwrap();
    assert_eq!((result.inserted, rejected(&result)), (2, texts([(1, "total_amount"), (3, "23503")])));

    let mut other = row(2, "U00000002");
    other.order.event.created_at += Duration::from_micros(1);
    let second = [with_amount(1, 1_000), with_amount(1, 1_002), other, row(3, "U00000001")];
    let result = insert(&mut database, &second.each_ref(), &mut scope).await.unwrap();
    assert_eq!((result.inserted, rejected(&result)), (1, texts([(1, "total_amount"), (2, "user_id,created_at")])));
    let amounts = "SELECT string_agg(total_amount::text, ' ' ORDER BY order_id) FROM orders";
    let amounts: String = bed.sql().await.query_one(amounts, &[]).await.unwrap().get(0);
    assert_eq!(amounts, "1000 1000 1000");
}

#[tokio::test]
async fn a_unique_index_other_than_that_of_the_id_refuses_a_row() {
    let bed = Testbed::new("unique_index").await;
    let (health, force_stop) = (Arc::default(), CancellationToken::new());
    bed.sql().await.batch_execute("CREATE UNIQUE INDEX ON orders (total_amount)").await.unwrap();
    let rows: Vec<OrderRow> = (0..10).map(|n| with_amount(n, n.min(8) as i32)).collect();
    let rows: Vec<&OrderRow> = rows.iter().collect();
    let mut scope = RetryScope::new(&force_stop, &|| false);
    let result = insert(&mut database(&bed, &health), &rows, &mut scope).await.unwrap();
    assert_eq!((result.inserted, rejected(&result)), (9, texts([(9, "23505")])));
}

#[tokio::test]
async fn a_row_that_a_trigger_skips_is_rejected_and_rows_that_it_changes_are_not() {
    let bed = Testbed::new("skipping_trigger").await;
    let (health, force_stop) = (Arc::default(), CancellationToken::new());
    let trigger = |body: &str| {
        format!(
            "CREATE OR REPLACE FUNCTION check_order() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;
             CREATE OR REPLACE TRIGGER check_order BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION check_order()"
        )
    };
    let skip = trigger("IF NEW.order_id = 'order-00001' THEN RETURN NULL; END IF; RETURN NEW;");
    bed.sql().await.batch_execute(&skip).await.unwrap();
    let mut database = database(&bed, &health);
    let mut scope = RetryScope::new(&force_stop, &|| false);
    let rows = [row(0, "U00000001"), row(1, "U00000001")];
    let result = insert(&mut database, &rows.each_ref(), &mut scope).await.unwrap();
    assert_eq!((result.inserted, result.rejected.len()), (1, 1));
    assert!(matches!(result.rejected[0], (1, RejectReason::NotKept)), "{:?}", result.rejected);

    bed.sql().await.batch_execute(&trigger("NEW.status := 'changed'; RETURN NEW;")).await.unwrap();
    let rows: Vec<OrderRow> = (2..5).map(|n| row(n, "U00000001")).collect();
    insert(&mut database, &[&rows[0]], &mut scope).await.unwrap();
    let rows: Vec<&OrderRow> = rows.iter().collect();
    let result = insert(&mut database, &rows, &mut scope).await.unwrap();
    assert_eq!((result.inserted, result.rejected.len()), (2, 0));
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
        testbed::eventually("the outage is noticed", Duration::from_secs(20), async || health.ready().is_err()).await;
        force_stop.cancel();
    };
    let (result, ()) = tokio::join!(storing, stopping);
    assert_eq!(result.unwrap_err(), Cancelled);
}

/// Otherwise each retry would leave a backend behind, until the server has no connection left.
#[tokio::test]
async fn a_statement_that_timed_out_does_not_go_on_in_the_server() {
    let bed = Testbed::new("timed_out_statement").await;
    let (health, force_stop) = (Arc::new(ConsumerHealth::default()), CancellationToken::new());
    let (other, watching) = (bed.sql().await, bed.sql().await);
    other.batch_execute("BEGIN; LOCK TABLE orders IN SHARE MODE").await.unwrap();
    let short_deadline =
        StatementSettings { statements: StatementMode::Prepared, statement_deadline: Duration::from_millis(200) };
    let mut database = database_with(&bed, short_deadline, &health);
    let row = row(1, "U00000001");
    let rows = [&row];
    let mut scope = RetryScope::new(&force_stop, &|| false);
    let releasing = async {
        let waiting =
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        // Each attempt opens a connection of its own.
        let mut attempts = HashSet::new();
        testbed::eventually(
            "the insert is tried three times, and only the last one waits in the server",
            Duration::from_secs(20),
            async || {
                let backends = watching.query(waiting, &[]).await.unwrap();
                attempts.extend(backends.iter().map(|row| row.get::<_, i32>(0)));
                attempts.len() >= 3 && backends.len() <= 1
            },
        )
        .await;
        other.batch_execute("COMMIT").await.unwrap();
    };
    let (result, ()) = tokio::join!(insert(&mut database, &rows, &mut scope), releasing);
    assert_eq!(result.unwrap().inserted, 1);
}

#[tokio::test]
async fn a_row_that_another_writer_locks_for_too_long_is_an_outage_and_not_the_rows_fault() {
    let bed = Testbed::new("too_long").await;
    let (health, force_stop) = (Arc::new(ConsumerHealth::default()), CancellationToken::new());
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
    let mut scope = RetryScope::new(&force_stop, &|| false);
    let releasing = async {
        testbed::eventually("the outage is noticed", Duration::from_secs(20), async || health.ready().is_err()).await;
        other.batch_execute("ROLLBACK").await.unwrap();
    };
    let (result, ()) = tokio::join!(insert(&mut database, &rows, &mut scope), releasing);
    assert_eq!(result.unwrap().inserted, 1);
    scope.succeed();
    assert_eq!(health.ready(), Ok(()));
}

/// A trigger before each insert. `body` may use the sequence `attempts`, which no rollback resets.
async fn create_trigger(bed: &Testbed, body: &str) {
    let sql = format!(
        "CREATE SEQUENCE IF NOT EXISTS attempts;
         CREATE OR REPLACE FUNCTION check_order() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NEW; END $$;
         CREATE OR REPLACE TRIGGER check_order BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION check_order()"
    );
    bed.sql().await.batch_execute(&sql).await.unwrap();
}

#[tokio::test]
async fn a_row_that_fails_with_a_code_of_a_trigger_is_isolated_once_others_are_accepted() {
    let bed = Testbed::new("code_of_a_trigger").await;
    let (health, force_stop) = (Arc::new(ConsumerHealth::default()), CancellationToken::new());
    let mut database = database(&bed, &health);
    let scope = || RetryScope::new(&force_stop, &|| false);
    for (number, code) in ["42501", "OD001"].into_iter().enumerate() {
        let raise = format!("IF NEW.total_amount = 666 THEN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END IF;");
        create_trigger(&bed, &raise).await;
        let mut rows: Vec<OrderRow> = (0..50).map(|n| row(number * 100 + n, "U00000001")).collect();
        rows[17].order.event.total_amount = 666;
        // A batch of a single row is judged by whether the table accepts a copy of a stored order.
        let single = OrderRow { order: rows[17].order.clone(), ..rows[17].clone() };
        let rows: Vec<&OrderRow> = rows.iter().collect();
        let result = insert(&mut database, &rows, &mut scope()).await.unwrap();
        assert_eq!((result.inserted, rejected(&result)), (49, texts([(17, code)])));
        let result = insert(&mut database, &[&single], &mut scope()).await.unwrap();
        assert_eq!((result.inserted, rejected(&result)), (0, texts([(0, code)])));
    }
    assert_eq!(stored(&bed).await, 2 * 49, "a probe stores nothing");
}

#[tokio::test]
async fn an_error_of_all_rows_is_an_outage_whatever_its_code() {
    for stored_before in [0, 1] {
        let bed = Testbed::new("code_of_all_rows").await;
        let (health, force_stop) = (Arc::new(ConsumerHealth::default()), CancellationToken::new());
        let mut database = database(&bed, &health);
        let mut scope = RetryScope::new(&force_stop, &|| false);
        for number in 0..stored_before {
            insert(&mut database, &[&row(100 + number, "U00000001")], &mut scope).await.unwrap();
        }
        create_trigger(&bed, "PERFORM nextval('attempts'); RAISE EXCEPTION 'no' USING ERRCODE = '42501';").await;
        let rows: Vec<OrderRow> = (0..4).map(|n| row(n, "U00000001")).collect();
        let rows: Vec<&OrderRow> = rows.iter().collect();
        let watching = bed.sql().await;
        let repairing = async {
            testbed::eventually("the batch is tried often enough", Duration::from_secs(60), async || {
                let attempts = watching.query_one("SELECT last_value FROM attempts", &[]).await.unwrap();
                attempts.get::<_, i64>(0) >= 8
            })
            .await;
            assert!(health.ready().unwrap_err().contains("SQLSTATE 42501"), "{:?}", health.ready());
            watching.batch_execute("DROP TRIGGER check_order ON orders").await.unwrap();
        };
        let (result, ()) = tokio::join!(insert(&mut database, &rows, &mut scope), repairing);
        let result = result.unwrap();
        assert_eq!((result.inserted, rejected(&result)), (4, texts([])));
    }
}

#[tokio::test]
async fn a_batch_that_exceeds_the_deadline_of_the_consumer_is_halved_until_it_is_stored() {
    let bed = Testbed::new("own_deadline").await;
    let (health, force_stop) = (Arc::new(ConsumerHealth::default()), CancellationToken::new());
    create_trigger(&bed, "PERFORM nextval('attempts'), pg_sleep(0.02);").await;
    let short_deadline =
        StatementSettings { statements: StatementMode::Prepared, statement_deadline: Duration::from_millis(400) };
    let mut database = database_with(&bed, short_deadline, &health);
    let mut scope = RetryScope::new(&force_stop, &|| false);
    let rows: Vec<OrderRow> = (0..60).map(|n| row(n, "U00000001")).collect();
    let rows: Vec<&OrderRow> = rows.iter().collect();
    let storing = tokio::time::timeout(Duration::from_secs(60), insert(&mut database, &rows, &mut scope));
    let result = storing.await.expect("the batch is not stored").unwrap();
    assert_eq!((result.inserted, result.rejected.len(), stored(&bed).await), (60, 0, 60));
    assert!(health.ready().unwrap_err().contains("takes too long"), "{:?}", health.ready());
    scope.succeed();
    assert_eq!(health.ready(), Ok(()));
}

#[tokio::test]
async fn a_row_that_waits_for_a_lock_keeps_no_other_row_of_its_batch_from_the_table() {
    let bed = Testbed::new("locked_row").await;
    let (health, force_stop) = (Arc::new(ConsumerHealth::default()), CancellationToken::new());
    let other = bed.sql().await;
    other.batch_execute("BEGIN; SELECT FROM users WHERE user_id = 'U00000001' FOR UPDATE").await.unwrap();
    let short_deadline =
        StatementSettings { statements: StatementMode::Prepared, statement_deadline: Duration::from_millis(300) };
    let mut database = database_with(&bed, short_deadline, &health);
    let mut scope = RetryScope::new(&force_stop, &|| false);
    let rows: Vec<OrderRow> = (0..20).map(|n| row(n, if n == 3 { "U00000001" } else { "U00000002" })).collect();
    let rows: Vec<&OrderRow> = rows.iter().collect();
    let releasing = async {
        testbed::eventually("the other rows are stored", Duration::from_secs(60), async || stored(&bed).await == 19)
            .await;
        other.batch_execute("ROLLBACK").await.unwrap();
    };
    let (result, ()) = tokio::join!(insert(&mut database, &rows, &mut scope), releasing);
    assert_eq!((result.unwrap().inserted, stored(&bed).await), (20, 20));
}
