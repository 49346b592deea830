//! `orderdb index`: the optional indexes of orders.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use testbed::{Testbed, eventually};

use crate::program::{count, orderdb, printed, refused};

const TIMEOUT: Duration = Duration::from_secs(60);

/// The state of each optional index; null for one that does not exist.
async fn states(bed: &Testbed) -> [Value; 2] {
    let list: Value = serde_json::from_str(&printed(bed, &["index", "list", "--output", "json"]).await).unwrap();
    [0, 1].map(|number| list["indexes"][number]["state"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn indexes_are_created_listed_and_dropped_and_the_schema_stays_valid() {
    let bed = Testbed::new("indexes").await;
    assert_eq!(states(&bed).await, [Value::Null, Value::Null]);
    let created = printed(&bed, &["index", "create", "orders_by_user"]).await;
    assert_eq!(created, "created orders_by_user on orders (user_id, created_at)\n");
    let created = printed(&bed, &["index", "create"]).await;
    assert!(created.contains("created orders_by_status") && created.contains("orders_by_user exists"), "{created}");
    assert_eq!(states(&bed).await, ["valid", "valid"]);
    let validated = printed(&bed, &["validate"]).await;
    assert!(!validated.contains("orders_by"), "{validated}");
    let dropped = printed(&bed, &["index", "drop"]).await;
    assert!(dropped.matches("no row is lost").count() == 2, "{dropped}");
    assert_eq!(states(&bed).await, [Value::Null, Value::Null]);
    let nothing = printed(&bed, &["index", "drop", "orders_by_user"]).await;
    assert!(nothing.contains("does not exist"), "{nothing}");
    bed.sql().await.batch_execute("CREATE INDEX orders_by_user ON orders (category)").await.unwrap();
    assert!(refused(&bed, &["index", "drop"]).await.contains("another index of this name"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_interrupted_build_leaves_is_removed() {
    let bed = Testbed::new("index_interrupted").await;
    let (other, sql) = (bed.sql().await, bed.sql().await);
    let lock = "BEGIN; LOCK TABLE orders IN ROW EXCLUSIVE MODE";
    other.batch_execute(lock).await.unwrap();
    let child = orderdb(&bed, &["index", "create", "orders_by_status"]).spawn().unwrap();
    let invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";
    eventually("it is being built", TIMEOUT, async || count(&bed, invalid).await == 1).await;
    eventually("the list tells", TIMEOUT, async || states(&bed).await[0] == "building").await;
    assert!(refused(&bed, &["index", "create"]).await.contains("another session builds"));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let removing = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DROP INDEX%' AND wait_event_type = 'Lock' \
                    AND datname = current_database()";
    eventually("it is removed", TIMEOUT, async || count(&bed, removing).await == 1).await;
    other.batch_execute("ROLLBACK").await.unwrap();
    let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && log.contains("Nothing is left of it"), "{log}");
    assert_eq!(states(&bed).await[0], Value::Null);
    // Another program has left one.
    other.batch_execute(lock).await.unwrap();
    let build = "CREATE INDEX CONCURRENTLY orders_by_status ON orders (status, created_at)";
    sql.batch_execute("SET statement_timeout = '200ms'").await.unwrap();
    assert!(sql.batch_execute(build).await.is_err());
    other.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(states(&bed).await[0], "invalid");
    let validated = printed(&bed, &["validate"]).await;
    assert!(validated.contains("INVALID"), "{validated}");
    printed(&bed, &["index", "create", "orders_by_status"]).await;
    assert_eq!((states(&bed).await[0].clone(), count(&bed, invalid).await), ("valid".into(), 0));
}
