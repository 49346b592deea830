//! `orderdb reset`: what it deletes, and that it deletes all of it or nothing.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use shared::catalog::{DEFAULT_PRODUCTS, DEFAULT_USERS};
use testbed::{PRODUCTS, Testbed, USERS, eventually};

use crate::program::{ORDER, count, orderdb, printed, refused};

const TIMEOUT: Duration = Duration::from_secs(60);
/// Users, products, orders and migrations.
async fn rows(bed: &Testbed) -> [i64; 4] {
    let mut rows = [0; 4];
    for (rows, table) in rows.iter_mut().zip(["users", "products", "orders", "__diesel_schema_migrations"]) {
        *rows = count(bed, &format!("SELECT count(*) FROM {table}")).await;
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_empties_the_schema_and_seeds_it_and_names_who_is_connected() {
    let bed = Testbed::new("reset").await;
    let (name, sql) = (bed.database.database(), bed.sql().await);
    sql.batch_execute(&format!("SET application_name = 'orderflow-consumer'; {ORDER}; ALTER TABLE users ADD x int"))
        .await
        .unwrap();
    let log = refused(&bed, &["reset"]).await;
    for expected in
        [format!("{USERS} rows of users"), "1 row of orders".to_owned(), "meanwhile: orderflow-consumer".to_owned()]
    {
        assert!(log.contains(&expected), "{log}");
    }
    assert_eq!(rows(&bed).await, [USERS as i64, PRODUCTS as i64, 1, 4]);
    let output = printed(&bed, &["reset", "--seed", "--yes-destroy", name]).await;
    assert!(output.contains("created again") && output.contains("cache-worker --once"), "{output}");
    assert_eq!(rows(&bed).await, [DEFAULT_USERS as i64, DEFAULT_PRODUCTS as i64, 0, 4]);
    printed(&bed, &["validate"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_of_the_orders_leaves_everything_else() {
    let bed = Testbed::new("reset_orders").await;
    bed.sql().await.batch_execute(ORDER).await.unwrap();
    let log = refused(&bed, &["reset", "--orders-only"]).await;
    assert!(log.contains("This destroys 1 row of orders, in database"), "{log}");
    let history = "INSERT INTO order_events VALUES ('a', 0, 'paid', '', now()), ('a', 1, 'refunded', '', now())";
    bed.sql().await.batch_execute(history).await.unwrap();
    let log = refused(&bed, &["reset", "--orders-only"]).await;
    assert!(log.contains("This destroys 1 row of orders, 2 rows of order_events, in database"), "{log}");
    printed(&bed, &["reset", "--orders-only", "--yes-destroy", bed.database.database()]).await;
    assert_eq!(rows(&bed).await, [USERS as i64, PRODUCTS as i64, 0, 4]);
    assert_eq!(count(&bed, "SELECT count(*) FROM order_events").await, 0);
    // There is nothing left to confirm.
    printed(&bed, &["reset", "--orders-only"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_that_is_stopped_or_killed_in_the_middle_leaves_every_row() {
    let bed = Testbed::new("reset_killed").await;
    bed.sql().await.batch_execute(ORDER).await.unwrap();
    let (name, other) = (bed.database.database(), bed.sql().await);
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND \
                    application_name = 'orderflow-orderdb'";
    for signal in [Signal::INT, Signal::KILL] {
        // The history and columns of the orders are dropped before those of the users.
        other.batch_execute("BEGIN; LOCK TABLE users IN ACCESS SHARE MODE").await.unwrap();
        let child = orderdb(&bed, &["reset", "--yes-destroy", name]).spawn().unwrap();
        let waiting = format!("{sessions} AND wait_event_type = 'Lock' AND wait_event = 'relation'");
        eventually("it waits for the users", TIMEOUT, async || count(&bed, &waiting).await == 1).await;
        let dropped = "SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation \
                       WHERE c.relname = 'order_events' AND l.mode = 'AccessExclusiveLock' AND l.granted \
                       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        assert_eq!(count(&bed, dropped).await, 1, "it is in the middle");
        kill_process(Pid::from_child(&child), signal).unwrap();
        let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(signal == Signal::KILL || log.contains("is left as it was: interrupted"), "{log}");
        other.batch_execute("ROLLBACK").await.unwrap();
        eventually("its session ends", TIMEOUT, async || count(&bed, sessions).await == 0).await;
        assert_eq!(rows(&bed).await, [USERS as i64, PRODUCTS as i64, 1, 4], "{signal:?}");
    }
    printed(&bed, &["validate"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_that_arrive_after_an_empty_table_was_seen_are_not_deleted() {
    let bed = Testbed::new("reset_meanwhile").await;
    let other = bed.sql().await;
    other.batch_execute(&format!("BEGIN; {ORDER}")).await.unwrap();
    let child = orderdb(&bed, &["reset", "--orders-only"]).spawn().unwrap();
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    eventually("the reset waits for the order", TIMEOUT, async || count(&bed, waiting).await == 1).await;
    other.batch_execute("COMMIT").await.unwrap();
    let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && log.contains("rows were added to orders meanwhile"), "{log}");
    assert_eq!(count(&bed, "SELECT count(*) FROM orders").await, 1);
}
