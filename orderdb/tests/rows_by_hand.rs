//! `orderdb user|product|order` and `orderdb random`: what they print, change and refuse.

use std::{
    collections::BTreeSet,
    process::{Command, Output, Stdio},
    time::Duration,
};

use redis::AsyncCommands;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use shared::order_id::OrderId;
use testbed::{Testbed, USERS, eventually};

fn command(bed: &Testbed, arguments: &[&str]) -> Command {
    let mut orderdb = Command::new(env!("CARGO_BIN_EXE_orderdb"));
    orderdb.args(arguments).envs(bed.environment());
    orderdb.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    orderdb
}

async fn orderdb(bed: &Testbed, arguments: &[&str]) -> Output {
    let mut orderdb = command(bed, arguments);
    tokio::task::spawn_blocking(move || orderdb.output()).await.unwrap().unwrap()
}

async fn printed(bed: &Testbed, arguments: &[&str]) -> String {
    let output = orderdb(bed, arguments).await;
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The rows that a command prints.
async fn rows(bed: &Testbed, arguments: &[&str]) -> Vec<Value> {
    let printed = printed(bed, &[arguments, &["--output", "json"]].concat()).await;
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn row(bed: &Testbed, arguments: &[&str]) -> Value {
    let rows = rows(bed, arguments).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows.into_iter().next().unwrap()
}

async fn refused(bed: &Testbed, exit_code: i32, arguments: &[&str]) -> String {
    let output = orderdb(bed, arguments).await;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(exit_code), "{arguments:?}: {log}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    log
}

async fn count(bed: &Testbed, table: &str) -> i64 {
    bed.sql().await.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_gets_what_is_left_out_and_what_follows_from_age_and_address() {
    let bed = Testbed::new("create_user").await;
    let first = row(&bed, &["user", "create"]).await;
    assert_eq!(first["user_id"], format!("U{:08}", USERS + 1));
    for column in ["name", "gender", "age_group", "region", "join_date"] {
        assert!(first[column].as_str().is_some_and(|text| !text.is_empty()), "{first}");
    }
    let second =
        row(&bed, &["user", "create", "--age", "33", "--address", "전라북도 전주시 완산구", "--gender", "F"]).await;
    assert_eq!(second["user_id"], format!("U{:08}", USERS + 2));
    assert_eq!((&second["age"], &second["age_group"]), (&json!(33), &json!("30대")));
    assert_eq!((&second["region"], &second["gender"]), (&json!("전북"), &json!("F")));
    let values = ["--id", "me", "--name", "김'; DROP", "--gender", "U", "--age", "9", "--address", "Berlin"];
    let own = row(&bed, &[&["user", "create", "--join-date", "2020-02-29"], &values[..]].concat()).await;
    let expected = json!({"user_id": "me", "name": "김'; DROP", "gender": "U", "age": 9, "age_group": "0대",
        "region": "미상", "join_date": "2020-02-29"});
    assert_eq!(own, expected);
    assert!(refused(&bed, 1, &["user", "create", "--id", "me"]).await.contains("there is a user me already"));
    assert_eq!(count(&bed, "users").await, USERS.cast_signed() + 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_price_list_price_and_discount_the_one_that_is_left_out_follows_from_the_others() {
    let bed = Testbed::new("create_product").await;
    let prices = async |arguments: &[&str]| {
        let product = row(&bed, arguments).await;
        json!([product["price"], product["org_price"], product["discount_rate"]])
    };
    let create = |more: &[&'static str]| [&["product", "create", "--category", "식품"], more].concat();
    assert_eq!(prices(&create(&["--price", "9000"])).await, json!([9000, 9000, 0.0]));
    assert_eq!(prices(&create(&["--org-price", "10000", "--discount-rate", "0.15"])).await, json!([8500, 10000, 0.15]));
    assert_eq!(prices(&create(&["--price", "9000", "--discount-rate", "0.1"])).await, json!([9000, 10000, 0.1]));
    assert_eq!(prices(&create(&["--price", "750", "--org-price", "1000"])).await, json!([750, 1000, 0.25]));
    let free = refused(&bed, 1, &create(&["--price", "0", "--discount-rate", "1"])).await;
    assert!(free.contains("give --org-price"), "{free}");
    let above = refused(&bed, 1, &["product", "update", "P000001", "--price", "2000000000"]).await;
    assert!(above.contains("above the price without discount") && above.contains("--org-price"), "{above}");
    let brand = row(&bed, &create(&["--brand", "우리집"])).await;
    assert!(brand["name"].as_str().unwrap().starts_with("우리집 ") && brand["category"] == "식품", "{brand}");
    let updated = prices(&["product", "update", brand["product_id"].as_str().unwrap(), "--discount-rate", "0.5"]).await;
    let half = brand["org_price"].as_f64().unwrap() / 2.0;
    assert!((updated[0].as_f64().unwrap() - half).abs() <= 0.5 && updated[1] == brand["org_price"], "{updated}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_copies_from_user_and_product_and_belongs_to_no_run() {
    let bed = Testbed::new("create_order").await;
    let user = row(&bed, &["user", "create", "--id", "me", "--age", "47", "--address", "제주도 서귀포시"]).await;
    printed(&bed, &["product", "create", "--id", "rice", "--price", "12000", "--category", "식품"]).await;
    let create = ["order", "create", "--user", "me", "--product", "rice"];
    let order = row(&bed, &[&create[..], &["--quantity", "4"]].concat()).await;
    let amounts = json!([order["total_amount"], order["shipping_cost"], order["discount_amount"]]);
    assert_eq!(amounts, json!([51_000, 3_000, 0]), "below 50,000 won of goods, shipping is not free");
    let copied = json!([order["user_region"], order["user_gender"], order["user_age_group"], order["category"]]);
    assert_eq!(copied, json!(["제주", user["gender"], "40대", "식품"]));
    let id: OrderId = order["order_id"].as_str().unwrap().parse().unwrap();
    assert_eq!(id.tag().to_string(), "ffffff");
    let free = row(&bed, &[&create[..], &["--quantity", "5", "--discount-amount", "10000"]].concat()).await;
    assert_eq!((&free["total_amount"], &free["shipping_cost"]), (&json!(50_000), &json!(0)));
    let own = [
        "--id",
        "order-1",
        "--status",
        "cancelled",
        "--payment-method",
        "cash",
        "--created-at",
        "2020-01-01T00:00:00Z",
    ];
    let own = row(&bed, &[&create[..], &own].concat()).await;
    assert_eq!((&own["order_id"], &own["created_at"]), (&json!("order-1"), &json!("2020-01-01T00:00:00Z")));
    let log = refused(&bed, 2, &[&create[..], &["--status", "delivered"]].concat()).await;
    assert!(log.contains("an order can't be placed as delivered: place it as payment_pending, paid or canc"), "{log}");
    for (arguments, message) in [
        (&["--user", "nobody", "--product", "rice"][..], "--user: there is no user nobody"),
        (&["--user", "me", "--product", "nothing"], "--product: there is no product nothing"),
        (&["--user", "me", "--product", "rice", "--quantity", "2000000000"], "--quantity 2000000000"),
        (&["--user", "me", "--product", "rice", "--discount-amount", "12001"], "--discount-amount 12001"),
        (&["--user", "me", "--product", "rice", "--id", "order-1"], "there is an order order-1 already"),
    ] {
        let log = refused(&bed, 1, &[&["order", "create"], arguments].concat()).await;
        assert!(log.contains(message), "{log}");
    }
    assert_eq!(count(&bed, "orders").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_one_another_and_filters_select() {
    let bed = Testbed::new("listed_rows").await;
    let mut seen = Vec::new();
    let ids = |page: &[Value]| page.iter().map(|row| row["user_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    // Rows of one seed were created at the same time.
    for page in 0..3 {
        let after: Option<String> = seen.last().cloned();
        let after: Vec<&str> = after.iter().flat_map(|id| ["--after", id.as_str()]).collect();
        let rows = rows(&bed, &[&["user", "list", "--limit", "500"], &after[..]].concat()).await;
        assert_eq!(rows.len(), if page < 2 { 500 } else { USERS as usize - 1_000 });
        seen.extend(ids(&rows));
    }
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), USERS as usize);
    printed(&bed, &["user", "create", "--id", "new", "--name", "100%_ 김", "--address", "경상남도 진주시"]).await;
    assert_eq!(ids(&rows(&bed, &["user", "list", "--limit", "1"]).await), ["new"]);
    for name in ["%_", "100%", "김"] {
        assert_eq!(
            ids(&rows(&bed, &["user", "find", "--name", name, "--region", "경상남도", "--limit", "1"]).await)[0],
            "new"
        );
    }
    assert!(rows(&bed, &["user", "find", "--name", "0_%"]).await.is_empty());
    let found = rows(&bed, &["user", "find", "--region", "서울", "--gender", "F", "--age-group", "30대"]).await;
    let fits = |user: &Value| user["region"] == "서울" && user["gender"] == "F" && user["age_group"] == "30대";
    assert!(!found.is_empty() && found.iter().all(fits));
    let found = rows(&bed, &["product", "find", "--min-price", "5000", "--max-price", "6000", "--limit", "9"]).await;
    let fits = |product: &Value| (5_000..=6_000).contains(&product["price"].as_i64().unwrap());
    assert!(!found.is_empty() && found.iter().all(fits));
    assert!(refused(&bed, 1, &["user", "list", "--after", "no"]).await.contains("--after: there is no user no"));

    for (id, time) in [("a", "2026-01-01T00:00:00Z"), ("b", "2026-01-02T00:00:00Z"), ("c", "2026-01-03T00:00:00Z")] {
        let user = if id == "c" { "U00000002" } else { "U00000001" };
        let create = ["order", "create", "--user", user, "--product", "P000001", "--id", id, "--created-at", time];
        printed(&bed, &create).await;
    }
    printed(&bed, &["order", "update", "a", "--status", "refunded"]).await;
    for (filter, expected) in [
        (&[][..], "cba"),
        (&["--user", "U00000001"], "ba"),
        (&["--status", "refunded"], "a"),
        (&["--status", "shipped"], ""),
        (&["--since", "2026-01-02T00:00:00Z", "--until", "2026-01-03T00:00:00Z"], "b"),
        (&["--after", "c", "--limit", "1"], "b"),
        (&["--product", "P000002"], ""),
    ] {
        let found = rows(&bed, &[&["order", "find"], filter].concat()).await;
        let ids: String = found.iter().map(|order| order["order_id"].as_str().unwrap()).collect();
        assert_eq!(ids, expected, "{filter:?}");
    }
    let table = printed(&bed, &["order", "list"]).await;
    assert!(table.contains("refunded") && table.contains("\n3 rows\n") && !table.contains("user_region"), "{table}");
    let csv = printed(&bed, &["order", "list", "--limit", "1", "--output", "csv"]).await;
    assert!(csv.starts_with("order_id,user_id,") && csv.lines().count() == 2, "{csv}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_changes_what_is_given_and_the_next_show_has_it() {
    let bed = Testbed::new("updated_rows").await;
    testbed::fill_cache(&bed).await;
    let show = ["user", "show", "U00000001"];
    let before = row(&bed, &show).await;
    let updated = row(&bed, &["user", "update", "U00000001", "--age", "81"]).await;
    let mut expected = before.clone();
    expected["age"] = json!(81);
    expected["age_group"] = json!("80대");
    assert_eq!((&updated, &row(&bed, &show).await), (&expected, &expected));
    let sql = bed.sql().await;
    let stored: String =
        sql.query_one("SELECT age_group FROM users WHERE user_id = 'U00000001'", &[]).await.unwrap().get(0);
    assert_eq!(stored, "80대");
    let field = ["--field", "age_group"];
    assert_eq!(printed(&bed, &[&show[..], &field].concat()).await, "80대\n");
    assert_eq!(row(&bed, &[&show[..], &field].concat()).await, json!({"age_group": "80대"}));
    printed(&bed, &["order", "create", "--user", "U00000001", "--product", "P000001", "--id", "order-1"]).await;
    for status in ["processing", "shipped"] {
        assert_ne!(printed(&bed, &["order", "show", "order-1", "--field", "status"]).await.trim(), status);
        row(&bed, &["order", "show", "order-1"]).await;
        printed(&bed, &["order", "update", "order-1", "--status", status]).await;
        assert_eq!(printed(&bed, &["order", "show", "order-1", "--field", "status"]).await.trim(), status);
    }
    refused(&bed, 2, &["user", "update", "U00000001"]).await;
    for arguments in [&["user", "show", "nobody"][..], &["user", "update", "nobody", "--age", "1"]] {
        assert!(refused(&bed, 1, arguments).await.contains("there is no user nobody"));
    }
    // The trigger has a time for the audit.
    let timed = "SELECT attributes_updated_at IS NOT NULL FROM users WHERE user_id = 'U00000001'";
    assert!(sql.query_one(timed, &[]).await.unwrap().get::<_, bool>(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_follows_the_transitions_and_is_added_to_the_history() {
    let bed = Testbed::new("order_history").await;
    let placed = "2026-01-02T03:04:05.000006Z";
    let create =
        ["order", "create", "--user", "U00000001", "--product", "P000001", "--id", "a", "--created-at", placed];
    printed(&bed, &create).await;
    let first = row(&bed, &["order", "show", "a"]).await;
    assert_eq!(
        first["history"],
        json!([{"sequence": 0, "status": "paid", "reason": "", "occurred_at": "2026-01-02T03:04:05.000006Z"}])
    );
    assert_eq!(count(&bed, "order_events").await, 0);
    printed(&bed, &["order", "update", "a", "--quantity", "2"]).await;
    printed(&bed, &["order", "update", "a", "--status", "processing"]).await;
    let late = ["order", "update", "a", "--status", "cancelled", "--reason", "out of stock"];
    let updated = row(&bed, &late).await;
    assert_eq!((&updated["status"], &updated["status_sequence"]), (&json!("cancelled"), &json!(2)));
    let shown = row(&bed, &["order", "show", "a"]).await;
    let history = shown["history"].as_array().unwrap();
    let lines = history.iter().map(|line| json!([line["sequence"], line["status"], line["reason"]]));
    let expected = json!([[0, "paid", ""], [1, "processing", "by hand"], [2, "cancelled", "out of stock"]]);
    assert_eq!(json!(lines.collect::<Vec<_>>()), expected);
    assert_eq!((&history[0]["occurred_at"], &history[2]["occurred_at"]), (&json!(placed), &shown["updated_at"]));
    let times = "SELECT updated_at > now() - interval '1 min' AND updated_at <= now() FROM orders";
    assert!(bed.sql().await.query_one(times, &[]).await.unwrap().get::<_, bool>(0));
    for (arguments, code, message) in [
        (&["--status", "paid"][..], 1, "order a is cancelled: no status follows, so that it can't become paid"),
        (&["--status", "lost"], 2, "\"lost\" is no status of an order"),
        (&["--reason", "late"], 2, "--status"),
    ] {
        let log = refused(&bed, code, &[&["order", "update", "a"], arguments].concat()).await;
        assert!(log.contains(message), "{log}");
    }
    assert_eq!(row(&bed, &["order", "show", "a"]).await, shown, "a refused update changes nothing");
    let text = printed(&bed, &["order", "show", "a"]).await;
    let below = text.split_once("│ number").unwrap().1;
    assert!(below.lines().count() == 6 && below.contains("out of stock") && below.contains(placed), "{text}");
    let csv = printed(&bed, &["order", "show", "a", "--output", "csv"]).await;
    assert!(csv.lines().count() == 2 && !csv.contains("by hand"), "{csv}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_while_an_order_is_read_is_neither_in_its_row_nor_in_its_history() {
    let bed = Testbed::new("order_snapshot").await;
    printed(&bed, &["order", "create", "--user", "U00000001", "--product", "P000001", "--id", "a"]).await;
    let writer = bed.sql().await;
    writer.batch_execute("BEGIN; LOCK TABLE order_events").await.unwrap();
    let arguments = ["order", "show", "a"];
    let change = async {
        let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'order_events'::regclass";
        let is_waiting = async || writer.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 1;
        eventually("the history is being read", Duration::from_secs(30), is_waiting).await;
        let change = "INSERT INTO order_events VALUES ('a', 0, 'paid', '', now()), ('a', 1, 'processing', '', now()); \
                      UPDATE orders SET status = 'processing', status_sequence = 1; COMMIT";
        writer.batch_execute(change).await.unwrap();
    };
    let (shown, ()) = tokio::join!(row(&bed, &arguments), change);
    let last = |shown: &Value| shown["history"].as_array().unwrap().last().unwrap()["status"].clone();
    assert_eq!((&shown["status"], last(&shown)), (&json!("paid"), json!("paid")), "{shown}");
    let shown = row(&bed, &arguments).await;
    assert_eq!((&shown["status"], last(&shown)), (&json!("processing"), json!("processing")), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_redis_is_shown_without_its_history_while_the_database_is_away() {
    let bed = Testbed::new("order_away").await;
    printed(&bed, &["order", "create", "--user", "U00000001", "--product", "P000001", "--id", "a"]).await;
    printed(&bed, &["order", "show", "a"]).await;
    let output = command(&bed, &["order", "show", "a"]).env("POSTGRES_PORT", "1").output().unwrap();
    let (shown, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && shown.contains("U00000001"), "{log}");
    assert!(log.contains("the history can't be read") && !shown.contains("number"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_updates_of_one_order_at_once_are_two_numbers() {
    let bed = Testbed::new("order_twice").await;
    let create = ["order", "create", "--user", "U00000001", "--product", "P000001", "--id", "a"];
    printed(&bed, &create).await;
    let (processing, cancelled) =
        (["order", "update", "a", "--status", "processing"], ["order", "update", "a", "--status", "cancelled"]);
    let (first, second) = tokio::join!(orderdb(&bed, &processing), orderdb(&bed, &cancelled));
    let history = row(&bed, &["order", "show", "a"]).await["history"].clone();
    let last = history.as_array().unwrap().last().unwrap()["status"].clone();
    // An order that is being processed may be cancelled, but not the other way round.
    let numbers = if first.status.success() { 3 } else { 2 };
    assert!(second.status.success() && last == "cancelled", "{}", String::from_utf8_lossy(&second.stderr));
    assert_eq!(history.as_array().unwrap().len(), numbers, "{history}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_deleted_after_confirmation_all_or_none_and_never_under_an_order() {
    let bed = Testbed::new("deleted_rows").await;
    let (name, before) = (bed.database.database(), count(&bed, "users").await);
    for id in ["a", "b"] {
        printed(&bed, &["user", "create", "--id", id]).await;
        printed(&bed, &["user", "show", id]).await;
    }
    printed(&bed, &["order", "create", "--user", "a", "--product", "P000001", "--id", "order-1"]).await;
    let delete = |what: &'static str, ids: &[&'static str]| {
        let mut arguments = vec![what, "delete"];
        arguments.extend(ids);
        arguments
    };
    let yes = |mut arguments: Vec<&'static str>| {
        arguments.extend(["--yes-destroy", Box::leak(name.to_owned().into_boxed_str())]);
        arguments
    };
    let log = refused(&bed, 1, &yes(delete("user", &["a", "b"]))).await;
    assert!(log.contains("1 order refers to user a"), "{log}");
    let log = refused(&bed, 1, &yes(delete("product", &["P000001"]))).await;
    assert!(log.contains("1 order refers to product P000001"), "{log}");
    let log = refused(&bed, 1, &yes(delete("user", &["b", "nobody"]))).await;
    assert!(log.contains("there is no user nobody: nothing was deleted"), "{log}");
    let log = refused(&bed, 1, &delete("user", &["b"])).await;
    assert!(log.contains("This deletes 1 user") && log.contains("--yes-destroy") && log.contains("│ b "), "{log}");
    assert_eq!(count(&bed, "users").await, before + 2);
    printed(&bed, &["order", "update", "order-1", "--status", "refunded"]).await;
    let log = refused(&bed, 1, &delete("order", &["order-1"])).await;
    assert!(log.contains("This deletes 1 order with 2 rows of history, in database"), "{log}");
    assert_eq!(printed(&bed, &yes(delete("order", &["order-1"]))).await, "deleted 1 order\n");
    assert_eq!(count(&bed, "order_events").await, 0);
    assert_eq!(rows(&bed, &yes(delete("user", &["b", "a", "b"]))).await.len(), 2);
    assert_eq!((count(&bed, "users").await, count(&bed, "orders").await), (before, 0));
    let log = refused(&bed, 1, &["user", "show", "a"]).await;
    assert!(log.contains("there is no user a"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn random_rows_come_from_the_cache_else_from_the_table_which_is_told() {
    let bed = Testbed::new("random_rows").await;
    let output = orderdb(&bed, &["random", "user", "--count", "200", "--output", "json"]).await;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && log.contains("users is empty") && log.contains("from table users"), "{log}");
    let ids = |output: &Output| -> Vec<String> {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        rows.map(|row| row["user_id"].as_str().unwrap().to_owned()).collect()
    };
    let drawn = ids(&output);
    let cached = |id: &String| id.as_str() <= "U00000100";
    assert!(drawn.len() == 200 && drawn.iter().collect::<BTreeSet<_>>().len() > 100 && !drawn.iter().all(cached));
    testbed::fill_cache(&bed).await;
    let output = orderdb(&bed, &["random", "user", "--count", "200", "--output", "json"]).await;
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let drawn = ids(&output);
    assert!(drawn.len() == 200 && drawn.iter().all(cached));
    let mut command = command(&bed, &["random", "product"]);
    let output = command.env("REDIS_URL", "redis://127.0.0.1:1").output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && log.contains("no answer") && log.contains("from table products"), "{log}");
    bed.sql().await.batch_execute("TRUNCATE users, orders, order_events").await.unwrap();
    let () = bed.redis().await.del(bed.keys().users).await.unwrap();
    assert!(refused(&bed, 1, &["random", "user"]).await.contains("orderdb seed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_created_changed_and_shown_through_a_pooler() {
    let bed = Testbed::new("pooled_rows").await;
    let pooled = |arguments: &[&str]| {
        let mut orderdb = command(&bed, arguments);
        let output = orderdb.envs(bed.supabase()).env_remove("SUPABASE_DIRECT_URL").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    pooled(&["order", "create", "--user", "U00000001", "--product", "P000001", "--id", "order-1"]);
    pooled(&["order", "update", "order-1", "--status", "refunded"]);
    assert_eq!(pooled(&["order", "show", "order-1", "--field", "status"]), "refunded\n");
    assert!(pooled(&["order", "show", "order-1"]).contains("by hand"));
    assert!(pooled(&["order", "list"]).contains("refunded"));
    assert_eq!(pooled(&["order", "delete", "order-1", "--yes-destroy", bed.database.database()]), "deleted 1 order\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_an_update_is_stored_and_says_what_may_be_old() {
    let bed = Testbed::new("no_redis").await;
    let without = |arguments: &[&str]| {
        let output = command(&bed, arguments).env("REDIS_URL", "redis://127.0.0.1:1").output().unwrap();
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{log}");
        (String::from_utf8_lossy(&output.stdout).into_owned(), log)
    };
    let (_, log) = without(&["user", "update", "U00000001", "--region", "moved"]);
    assert!(log.contains("may have the old values for 300 s"), "{log}");
    let (shown, log) = without(&["user", "show", "U00000001", "--field", "region"]);
    assert_eq!((shown.as_str(), log.matches("Redis").count()), ("moved\n", 1), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_waits_ends_at_its_deadline_and_by_ctrl_c_and_changes_nothing() {
    let bed = Testbed::new("waiting_change").await;
    let sql = bed.sql().await;
    sql.batch_execute("BEGIN; UPDATE users SET region = region WHERE user_id = 'U00000001'").await.unwrap();
    let update = ["user", "update", "U00000001", "--region", "moved"];
    let log = refused(&bed, 1, &[&update[..], &["--statement-deadline", "500ms"]].concat()).await;
    assert!(log.contains("no answer from the database within 500ms"), "{log}");
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let other = bed.sql().await;
    let waits = async || other.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0);
    eventually("the statement is cancelled", Duration::from_secs(20), async || waits().await == 0).await;
    let child = command(&bed, &update).spawn().unwrap();
    eventually("it waits for the row", Duration::from_secs(20), async || waits().await == 1).await;
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(log.contains("interrupted"), "{log}");
    eventually("the statement is cancelled", Duration::from_secs(20), async || waits().await == 0).await;
    sql.batch_execute("COMMIT").await.unwrap();
    let moved = "SELECT count(*) FROM users WHERE region = 'moved'";
    assert_eq!(sql.query_one(moved, &[]).await.unwrap().get::<_, i64>(0), 0);
}
