//! Runs the consumer on a topic with orders and changes of their statuses.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::{
    process::{Child, Command, Output, Stdio},
    sync::Arc,
    time::Duration,
};

use rdkafka::{
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use shared::{
    database::Order,
    kafka::ensure_topic,
    lookup::{LoggedOutage, QueryConnections, RowCache, RowReader},
    wire::{EVENT_TYPE_HEADER, ORDER_PLACED_V1, ORDER_STATUS_CHANGED_V1},
};
use testbed::{ORDER_VALUE, Testbed, eventually};

const TIMEOUT: Duration = Duration::from_secs(60);

struct Topic {
    producer: FutureProducer,
    name: String,
}

impl Topic {
    async fn create(bed: &Testbed) -> Self {
        ensure_topic(&bed.kafka, &bed.topic.orders()).await.unwrap();
        let settings = [("acks", "all"), ("linger.ms", "5")];
        Self { producer: bed.kafka.client(&settings).create().unwrap(), name: bed.topic.topic.clone() }
    }

    /// Sends an event, after those before it.
    async fn send(&self, key: &str, event_type: &str, value: &str) {
        let headers = OwnedHeaders::new().insert(Header { key: EVENT_TYPE_HEADER, value: Some(event_type) });
        let record = FutureRecord::to(&self.name).key(key).payload(value).headers(headers);
        self.producer.send(record, TIMEOUT).await.unwrap();
    }

    async fn order(&self, id: &str) {
        self.send(id, ORDER_PLACED_V1, ORDER_VALUE).await;
    }

    async fn change(&self, id: &str, sequence: i32, status: &str) {
        let value = format!(
            r#"{{"sequence":{sequence},"status":"{status}","reason":"","occurred_at":"2026-01-01T00:0{sequence}:00Z"}}"#
        );
        self.send(id, ORDER_STATUS_CHANGED_V1, &value).await;
    }
}

fn command(bed: &Testbed, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_consumer"));
    command.args(arguments).envs(bed.environment()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn start(bed: &Testbed, arguments: &[&str]) -> Child {
    command(bed, arguments).spawn().unwrap()
}

/// Sends SIGTERM and returns what the consumer logged.
async fn stop(consumer: Child) -> String {
    let killed = Command::new("kill").arg(consumer.id().to_string()).status().unwrap();
    assert!(killed.success());
    ended(consumer).await
}

async fn ended(consumer: Child) -> String {
    let output = tokio::task::spawn_blocking(move || consumer.wait_with_output().unwrap()).await.unwrap();
    let logged = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{logged}");
    logged
}

async fn dlq(bed: &Testbed, arguments: &[&str]) -> serde_json::Value {
    let all = [&["dlq"], arguments, &["--output", "json"]].concat();
    let mut command = command(bed, &all);
    let output: Output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Status and history of an order; empty when the table does not have it.
async fn history(bed: &Testbed, id: &str) -> String {
    let query = "SELECT concat_ws(' ', status, status_sequence, '|', (SELECT string_agg(e.status, ' ' ORDER BY \
                 sequence) FROM order_events e WHERE e.order_id = orders.order_id)) FROM orders WHERE order_id = $1";
    let row = bed.sql().await.query_opt(query, &[&id]).await.unwrap();
    row.map_or_else(String::new, |row| row.get(0))
}

async fn until_history(bed: &Testbed, id: &str, expected: &str) {
    eventually(&format!("{id} is {expected}"), TIMEOUT, async || history(bed, id).await == expected).await;
}

#[tokio::test]
async fn a_stream_of_orders_and_changes_is_stored_exactly_also_after_a_kill() {
    const ORDERS: usize = 300;
    let bed = Testbed::new("mixed_stream").await;
    let topic = Topic::create(&bed).await;
    let stats = bed.folder().join("stats").display().to_string();
    let mut consumer = start(&bed, &["--stats-dir", &stats]);
    let path = ["processing", "shipped", "delivered"];
    for step in 0..ORDERS + path.len() {
        let sent = path.iter().enumerate().filter(|(at, _)| step > *at && step - at - 1 < ORDERS);
        let changes = sent.map(|(at, status)| (step - at - 1, at as i32 + 1, *status));
        let changes: Vec<_> = changes.collect();
        if step < ORDERS {
            topic.order(&format!("order-{step}")).await;
        }
        for (order, sequence, status) in changes {
            topic.change(&format!("order-{order}"), sequence, status).await;
        }
        if step == ORDERS / 2 {
            until_history(&bed, "order-0", "delivered 3 | paid processing shipped delivered").await;
            consumer.kill().unwrap();
            consumer.wait().unwrap();
            consumer = start(&bed, &["--stats-dir", &stats]);
        }
    }
    let complete = "SELECT count(*) FROM orders o WHERE status = 'delivered' AND status_sequence = 3 AND \
                    (SELECT string_agg(e.status, ' ' ORDER BY sequence) FROM order_events e \
                    WHERE e.order_id = o.order_id) = 'paid processing shipped delivered'";
    let sql = bed.sql().await;
    eventually("all are delivered", TIMEOUT, async || {
        sql.query_one(complete, &[]).await.unwrap().get::<_, i64>(0) == ORDERS as i64
    })
    .await;
    let logged = stop(consumer).await;
    assert!(logged.contains("; changes: consumed ") && logged.contains(" changes, p50 "), "{logged}");
    assert!(!logged.contains("dead-lettered 1"), "{logged}");
    assert_eq!(dlq(&bed, &["list"]).await["kinds"], serde_json::json!({}));
}

#[tokio::test]
async fn changes_before_their_order_are_dead_lettered_and_a_replay_completes_the_history() {
    let bed = Testbed::new("changes_first").await;
    let topic = Topic::create(&bed).await;
    let consumer = start(&bed, &[]);
    topic.change("early", 1, "processing").await;
    topic.change("early", 2, "shipped").await;
    topic.change("lost", 1, "processing").await;
    let kinds = async || dlq(&bed, &["list"]).await["kinds"]["unknown_order"].clone();
    eventually("all are dead-lettered", TIMEOUT, async || kinds().await["orders"] == 3).await;
    let message = kinds().await["sample"]["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("there is no order with this id: `consumer dlq replay`"), "{message}");

    topic.order("early").await;
    until_history(&bed, "early", "paid 0 |").await;
    let replayed = dlq(&bed, &["replay", "--kind", "unknown_order"]).await;
    assert_eq!(replayed["replayed"], 3, "{replayed}");
    until_history(&bed, "early", "shipped 2 | paid processing shipped").await;
    let counts = async || {
        let counts = kinds().await;
        ["orders", "settled", "came_back", "waiting"].map(|count| counts[count].as_u64())
    };
    let expected = [Some(3), Some(2), Some(1), Some(0)];
    eventually("two are stored, one is dead-lettered again", TIMEOUT, async || counts().await == expected).await;
    let again = dlq(&bed, &["replay", "--dry-run"]).await;
    assert_eq!((&again["settled"], &again["replayed"]), (&2.into(), &1.into()), "{again}");
    let logged = stop(consumer).await;
    let changes = "changes: consumed 6 = stored 2 + duplicates 0 + dead-lettered 4 + handed back 0";
    assert!(logged.contains(changes), "{logged}");
}

#[tokio::test]
async fn an_order_and_its_changes_are_replayed_together_the_order_first() {
    let bed = Testbed::new("replayed_together").await;
    let topic = Topic::create(&bed).await;
    let order = ORDER_VALUE.replace("U00000001", "newcomer");
    for number in 0..20 {
        let id = format!("order-{number}");
        topic.send(&id, ORDER_PLACED_V1, &order).await;
        topic.change(&id, 1, "processing").await;
        topic.change(&id, 2, "shipped").await;
    }
    let consumer = start(&bed, &[]);
    let dead_letters = async || {
        let kinds = dlq(&bed, &["list"]).await["kinds"].clone();
        ["unknown_user", "unknown_order"].map(|kind| kinds[kind]["orders"].as_u64().unwrap_or_default())
    };
    eventually("all are dead-lettered", TIMEOUT, async || dead_letters().await == [20, 40]).await;
    let newcomer = "INSERT INTO users (user_id, name, gender, age, age_group, region, join_date) \
                    VALUES ('newcomer', 'x', 'U', 30, '30대', '서울', now())";
    bed.sql().await.batch_execute(newcomer).await.unwrap();
    // An unknown user is cached for a second.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!(dlq(&bed, &["replay"]).await["replayed"], 60);
    for number in 0..20 {
        until_history(&bed, &format!("order-{number}"), "shipped 2 | paid processing shipped").await;
    }
    let logged = stop(consumer).await;
    assert!(logged.contains("changes: consumed 80 = stored 40 + duplicates 0 + dead-lettered 40 "), "{logged}");
}

/// Reads orders as an application does: from Redis first.
async fn reader(bed: &Testbed) -> RowReader<Order> {
    let cache = Arc::new(RowCache::new(bed.redis().await, bed.keys(), LoggedOutage::default()));
    RowReader::new(cache, Arc::new(QueryConnections::new(&bed.database, 2, TIMEOUT)))
}

#[tokio::test]
async fn a_reader_that_has_cached_an_order_sees_its_new_status_within_a_second() {
    let bed = Testbed::new("invalidated_order").await;
    let topic = Topic::create(&bed).await;
    let reader = reader(&bed).await;
    let status = async || {
        let row = reader.row(&"order-1".to_owned()).await.unwrap();
        row.map(|order| order.status.clone()).unwrap_or_default()
    };
    let consumer = start(&bed, &["--invalidate"]);
    topic.order("order-1").await;
    eventually("the order is stored", TIMEOUT, async || status().await == "paid").await;
    let entry = bed.keys().entry("order", "order-1");
    let cached: String = redis::AsyncCommands::get(&mut bed.redis().await, &entry).await.unwrap();
    assert!(cached.contains(r#""status":"paid""#), "{cached}");
    for (sequence, next) in [(1, "processing"), (2, "shipped")] {
        topic.change("order-1", sequence, next).await;
        let is_stored = async || history(&bed, "order-1").await.starts_with(next);
        eventually("the change is stored", TIMEOUT, is_stored).await;
        eventually("a reader sees it", Duration::from_secs(1), async || status().await == next).await;
    }
    let _: () = redis::AsyncCommands::del(&mut bed.redis().await, &entry).await.unwrap();
    stop(consumer).await;
}

#[tokio::test]
async fn a_redis_that_hangs_or_is_away_keeps_no_change_from_the_table() {
    let bed = Testbed::new("invalidation_outage").await;
    let topic = Topic::create(&bed).await;
    let proxy = bed.redis_proxy().await;
    let (_, url) = bed.environment().into_iter().find(|(name, _)| name == "REDIS_URL").unwrap();
    let url = url.replace(&bed.cache.address(), &proxy.address.to_string());
    let mut command = command(&bed, &["--invalidate"]);
    let consumer = command.env("REDIS_URL", &url).spawn().unwrap();
    topic.order("order-1").await;
    topic.change("order-1", 1, "processing").await;
    until_history(&bed, "order-1", "processing 1 | paid processing").await;
    proxy.stall();
    topic.change("order-1", 2, "shipped").await;
    until_history(&bed, "order-1", "shipped 2 | paid processing shipped").await;
    drop(proxy);
    topic.change("order-1", 3, "delivered").await;
    until_history(&bed, "order-1", "delivered 3 | paid processing shipped delivered").await;
    let logged = stop(consumer).await;
    assert_eq!(logged.matches("Redis: changed orders can't be invalidated").count(), 1, "{logged}");
}

#[tokio::test]
async fn a_schema_without_histories_is_one_clear_message_at_the_start() {
    let bed = Testbed::new("older_schema").await;
    let older = "DROP TABLE order_events; ALTER TABLE orders DROP COLUMN status_sequence, DROP COLUMN updated_at";
    bed.sql().await.batch_execute(older).await.unwrap();
    let mut command = command(&bed, &[]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let logged = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{logged}");
    assert!(logged.contains("tables are missing") && logged.contains("run `orderdb migrate up` first"), "{logged}");
}
