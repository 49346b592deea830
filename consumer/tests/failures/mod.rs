//! Inserts that fail because of one row, of all rows, or because they take too long.

use std::{collections::HashSet, sync::Arc, time::Duration};

use consumer::{health::ConsumerHealth, model::OrderRow, retry_scope::RetryScope, settings::StatementSettings};
use shared::database::StatementMode;
use testbed::Testbed;
use tokio_util::sync::CancellationToken;

use super::{database, database_with, insert, rejected, row, stored, texts};

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
        testbed::eventually("the outage is noticed", Duration::from_secs(20), async || {
            health.status().ready().is_err()
        })
        .await;
        other.batch_execute("ROLLBACK").await.unwrap();
    };
    let (result, ()) = tokio::join!(insert(&mut database, &rows, &mut scope), releasing);
    assert_eq!(result.unwrap().inserted, 1);
    scope.succeed();
    assert_eq!(health.status().ready(), Ok(()));
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
    for (number, code) in ["42501", "OD001", "P0002", "P0004", "0A000"].into_iter().enumerate() {
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
    assert_eq!(stored(&bed).await, 5 * 49, "a probe stores nothing");
}

#[tokio::test]
async fn a_row_is_isolated_although_the_last_order_can_not_be_copied() {
    let bed = Testbed::new("locked_probe").await;
    let (health, force_stop) = (Arc::new(ConsumerHealth::default()), CancellationToken::new());
    let short_deadline =
        StatementSettings { statements: StatementMode::Prepared, statement_deadline: Duration::from_secs(1) };
    let mut database = database_with(&bed, short_deadline, &health);
    let mut scope = RetryScope::new(&force_stop, &|| false);
    let rows = [row(1, "U00000001"), row(2, "U00000002")];
    insert(&mut database, &rows.each_ref(), &mut scope).await.unwrap();
    create_trigger(&bed, "IF NEW.total_amount = 666 THEN RAISE EXCEPTION 'no' USING ERRCODE = 'OD001'; END IF;").await;
    let other = bed.sql().await;
    other.batch_execute("BEGIN; SELECT FROM users WHERE user_id = 'U00000002' FOR UPDATE").await.unwrap();
    let mut refused = row(3, "U00000001");
    refused.order.event.total_amount = 666;
    let refused = [&refused];
    let isolating = tokio::time::timeout(Duration::from_secs(60), insert(&mut database, &refused, &mut scope));
    let result = isolating.await.expect("the row is not isolated").unwrap();
    assert_eq!((result.inserted, rejected(&result)), (0, texts([(0, "OD001")])));
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
            assert!(health.status().ready().unwrap_err().contains("SQLSTATE 42501"), "{:?}", health.status().ready());
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
    // A statement may still commit after the deadline: then its rows were stored before the next try.
    assert_eq!((result.rejected.len(), stored(&bed).await), (0, 60));
    assert!(health.status().ready().unwrap_err().contains("takes too long"), "{:?}", health.status().ready());
    scope.succeed();
    assert_eq!(health.status().ready(), Ok(()));
}

#[tokio::test]
async fn a_row_that_waits_for_a_lock_keeps_no_other_row_of_its_batch_from_the_table() {
    let bed = Testbed::new("locked_row").await;
    let (health, force_stop) = (Arc::new(ConsumerHealth::default()), CancellationToken::new());
    let other = bed.sql().await;
    other.batch_execute("BEGIN; SELECT FROM users WHERE user_id = 'U00000001' FOR UPDATE").await.unwrap();
    let short_deadline =
        StatementSettings { statements: StatementMode::Prepared, statement_deadline: Duration::from_secs(1) };
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
    assert_eq!((result.unwrap().rejected.len(), stored(&bed).await), (0, 20));
}
