//! What `orderdb status` tells about a database.

use std::{
    process::{Command, Output, Stdio},
    time::Duration,
};

use chrono::{TimeDelta, Utc};
use serde_json::Value;
use shared::order_id::{OrderId, RunTag, Sequence};
use testbed::{PRODUCTS, Standby, Testbed, USERS, eventually, fill_cache};

async fn status(bed: &Testbed, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut orderdb = Command::new(env!("CARGO_BIN_EXE_orderdb"));
    orderdb.arg("status").args(arguments).envs(bed.environment()).envs(variables.iter().copied()).stdin(Stdio::null());
    tokio::task::spawn_blocking(move || orderdb.output()).await.unwrap().unwrap()
}

async fn json(bed: &Testbed) -> Value {
    let output = status(bed, &["--output", "json"], &[]).await;
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Inserts orders that were due before now, one for each age.
async fn insert_orders(bed: &Testbed, ages: impl Iterator<Item = TimeDelta>) {
    let sql = bed.sql().await;
    for (number, age) in ages.enumerate() {
        let due = (Utc::now() - age).timestamp_nanos_opt().unwrap();
        let id = OrderId::new(due.unsigned_abs(), RunTag::near(7, 0), Sequence::new(number as u64).unwrap());
        let insert = format!(
            "INSERT INTO orders (order_id, user_id, product_id, quantity, total_amount, payment_method, status, created_at) \
             SELECT '{id}', user_id, product_id, 1, 1000, 'card', 'paid', now() FROM users, products LIMIT 1"
        );
        sql.batch_execute(&insert).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_has_rows_orders_of_the_last_minutes_and_the_cache() {
    let bed = Testbed::new("status_pipeline").await;
    let ages = [TimeDelta::seconds(30), TimeDelta::minutes(3), TimeDelta::minutes(30), TimeDelta::minutes(90)];
    insert_orders(&bed, ages.into_iter().flat_map(|age| [age; 5])).await;
    // Ids of another producer: one that sorts behind all others, and one that sorts behind the newest.
    let foreign = "UPDATE orders SET order_id = 'order-1' WHERE order_id = (SELECT min(order_id) FROM orders); \
                   UPDATE orders SET order_id = (SELECT left(max(order_id), 13) || '~' FROM orders \
                       WHERE order_id LIKE '%-7%') WHERE order_id = (SELECT min(order_id) FROM orders)";
    let marked = "UPDATE users SET last_cached_at = now() - interval '2 min' \
                  WHERE user_id IN (SELECT user_id FROM users LIMIT 200)";
    let round = "UPDATE cache_rounds SET cached_at = now() - interval '20 s', due_at = now() + interval '30 s', \
                 size = 200, interval_ms = 50000, new_users = 150, aged_users = 50";
    bed.sql().await.batch_execute(&[foreign, marked, round].join("; ")).await.unwrap();
    fill_cache(&bed).await;
    let status = json(&bed).await;
    let table = |name: &str| {
        status["tables"]
            .as_array()
            .unwrap()
            .iter()
            .find(|table| table["name"] == name)
            .unwrap_or_else(|| panic!("{name}"))
    };
    assert_eq!((&table("users")["rows"], &table("users")["rows_are"]), (&USERS.into(), &"counted".into()));
    assert_eq!((&table("orders")["rows"], &table("products")["rows"]), (&20.into(), &PRODUCTS.into()));
    let windows = status["orders"]["windows"].as_array().unwrap();
    let counts: Vec<_> = windows.iter().map(|window| (window["minutes"].as_i64(), window["orders"].as_i64())).collect();
    assert_eq!(counts, [(1, 6), (5, 11), (60, 16)].map(|(minutes, orders)| (Some(minutes), Some(orders))));
    assert_eq!(windows[1]["orders_a_minute"], 2.2);
    let age = status["orders"]["newest_age_seconds"].as_i64().unwrap();
    assert!((29..60).contains(&age), "{age}");
    let rounds = &status["rounds"];
    assert_eq!((&rounds["is_overdue"], &rounds["interval_ms"]), (&false.into(), &50_000.into()));
    let users = &rounds["users"];
    assert_eq!(
        (&users["new"], &users["aged"], &users["never_cached"]),
        (&150.into(), &50.into(), &(USERS - 200).into())
    );
    assert!(users["oldest_cached_at"].is_string() && rounds["products"]["oldest_cached_at"].is_null());
    assert_eq!((&status["redis"]["users"], &status["redis"]["products"]), (&100.into(), &100.into()));
    assert!(status["migrations"]["missing"] == 0 && status["replication"]["standbys"].is_array(), "{status:#}");
    let overdue = "UPDATE cache_rounds SET due_at = now() - interval '51 s'";
    bed.sql().await.batch_execute(overdue).await.unwrap();
    let output = self::status(&bed, &[], &[]).await;
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("OVERDUE") && printed.contains("orders in 5 min"), "{printed}");
    assert!(printed.lines().all(|line| line.chars().count() <= 80), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_transaction_and_its_connection_are_told() {
    let bed = Testbed::new("status_sessions").await;
    let sql = bed.sql().await;
    sql.batch_execute("SET application_name = 'forgotten'; BEGIN; SELECT count(*) FROM users").await.unwrap();
    let status = json(&bed).await;
    let longest = &status["sessions"]["longest_transaction"];
    assert_eq!((&longest["application"], &longest["state"]), (&"forgotten".into(), &"idle in transaction".into()));
    let connections = status["sessions"]["connections"].as_array().unwrap();
    assert!(connections.iter().any(|it| it["application"] == "forgotten" && it["count"] == 1), "{connections:?}");
    let (used, most) = (&status["sessions"]["server_connections"], &status["sessions"]["max_connections"]);
    assert!(used.as_i64().unwrap() >= 2 && used.as_i64() < most.as_i64(), "{used} of {most}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_without_use_is_told_and_one_that_is_missing_once_it_costs_something() {
    let bed = Testbed::new("status_indexes").await;
    let filled = "INSERT INTO orders (order_id, user_id, product_id, quantity, total_amount, payment_method, status, \
                      created_at) \
                  SELECT 'order-' || n, 'U00000001', 'P000001', 1, 1000, 'card', 'paid', \
                      now() - n * interval '1 s' FROM generate_series(1, 80000) n";
    let sql = bed.sql().await;
    sql.batch_execute(&format!("{filled}; CREATE INDEX orders_times ON orders (created_at)")).await.unwrap();
    let indexes = json(&bed).await["indexes"].take();
    let unused: Vec<&str> =
        indexes["unused"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(unused, ["orders_times"]);
    assert_eq!(indexes["missing"], Value::Array(vec![]), "no user was deleted");
    sql.batch_execute("DELETE FROM users WHERE user_id = 'U00000009'").await.unwrap();
    // The server counts it once the connection has ended.
    drop(sql);
    let is_told = async || {
        let missing = json(&bed).await["indexes"]["missing"].take();
        let missing = missing.as_array().unwrap();
        missing.iter().any(|it| it["reason"] == "foreign-key" && it["table"] == "orders" && it["columns"] == "user_id")
    };
    eventually("the missing index is told", Duration::from_secs(20), is_told).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_told_in_its_place_and_the_rest_is_shown() {
    let bed = Testbed::new("status_parts").await;
    let sql = bed.sql().await;
    sql.batch_execute("DROP TABLE cache_rounds").await.unwrap();
    let output = status(&bed, &["--output", "json"], &[("REDIS_URL", "redis://:hunter2@127.0.0.1:1")]).await;
    assert_eq!(output.status.code(), Some(3));
    let parts: Value = serde_json::from_slice(&output.stdout).unwrap();
    let error = |part: &str| parts[part]["error"].as_str().unwrap().to_owned();
    assert!(error("rounds").contains("orderdb migrate up"), "{parts:#}");
    assert!(error("redis").contains("127.0.0.1:1 can't be reached"), "{parts:#}");
    assert!(parts["orders"]["windows"].is_array() && parts["sessions"]["connections"].is_array(), "{parts:#}");
    // A lock that another session holds.
    sql.batch_execute("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let output = status(&bed, &["--statement-deadline", "1500ms"], &[]).await;
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3));
    assert!(printed.contains("no answer within 1s 500ms") && printed.contains("connections by"), "{printed}");
    sql.batch_execute("ROLLBACK").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_databases_are_one_array_with_an_error_for_one_that_is_down() {
    let bed = Testbed::new("status_all").await;
    let down = ("DATABASE_URL_DOWN", "postgres://me:hunter2@127.0.0.1:1/db");
    let output = status(&bed, &["--all", "--output", "json"], &[down]).await;
    assert_eq!(output.status.code(), Some(1));
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&all[0]["name"], &all[0]["database"]), (&"(default)".into(), &bed.name.as_str().into()));
    assert!(all[1]["name"] == "down" && all[1]["error"].as_str().unwrap().contains("127.0.0.1:1"), "{all:#}");
    assert!(!format!("{output:?}").contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_told_by_the_primary_and_tells_itself() {
    let bed = Testbed::new("status_standby").await;
    let standby = Standby::of(&bed.database).await;
    standby.catch_up_with(&bed.sql().await).await;
    let port = standby.address.port().to_string();
    let output = status(&bed, &["--output", "json"], &[("POSTGRES_PORT", &port)]).await;
    assert!(output.status.success(), "{output:?}");
    let followed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(followed["server"]["role"], "standby");
    assert!(followed["replication"]["behind_seconds"].is_number(), "{followed:#}");
    assert_eq!(followed["tables"].as_array().unwrap().len(), json(&bed).await["tables"].as_array().unwrap().len());
    let is_told = async || !json(&bed).await["replication"]["standbys"].as_array().unwrap().is_empty();
    eventually("the primary tells its standby", Duration::from_secs(20), is_told).await;
    let output = status(&bed, &[], &[("POSTGRES_PORT", &port)]).await;
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("standby, at") && printed.contains("behind"), "{printed}");
}
