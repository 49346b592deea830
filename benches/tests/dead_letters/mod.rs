//! Orders that can't be stored: the dead-letter topic, the limit of dead letters, and the replay.

use std::{collections::BTreeMap, time::Duration};

use benches::{
    metrics,
    process::{Program, command, free_address},
};
use rdkafka::{
    Message,
    consumer::{BaseConsumer, Consumer},
    message::{Header, Headers, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use rustix::process::Signal;
use shared::{kafka::ensure_topic, wire::EVENT_TYPE_HEADER};
use testbed::Testbed;

use super::scenario::{self, TIMEOUT, stored};

#[tokio::test]
async fn orders_that_cannot_be_stored_are_dead_lettered_unchanged_and_all_others_are_stored() {
    let bed = Testbed::new("dead_letters").await;
    ensure_topic(&bed.kafka, &bed.topic.orders()).await.unwrap();
    let order = |user: &str, quantity: i64| {
        format!(
            r#"{{"user_id":"{user}","product_id":"P000001","quantity":{quantity},"total_amount":1000,"shipping_cost":0,
            "discount_amount":0,"payment_method":"card","status":"paid","created_at":"2026-01-01T00:00:00Z"}}"#
        )
    };
    let good = |n: usize| (format!("good-{n}"), order("U00000001", 1), "order.placed.v1");
    let bad = [
        ("unknown-user".to_owned(), order("nobody", 1), "order.placed.v1"),
        ("broken".to_owned(), "{\"user_id\": ".to_owned(), "order.placed.v1"),
        ("newer".to_owned(), order("U00000001", 1), "order.placed.v2"),
        ("negative".to_owned(), order("U00000001", -1), "order.placed.v1"),
        ("x".repeat(51), order("U00000001", 1), "order.placed.v1"),
    ];
    let producer: FutureProducer = bed.kafka.client(&[("acks", "all")]).create().unwrap();
    for (key, value, event_type) in (0..200).map(good).chain(bad.clone()).chain((200..400).map(good)) {
        let headers = OwnedHeaders::new()
            .insert(Header { key: EVENT_TYPE_HEADER, value: Some(event_type) })
            .insert(Header { key: "trace", value: Some("kept") });
        // All in one partition, so that valid and invalid orders share a batch.
        let record = FutureRecord::to(&bed.topic.topic).partition(0).key(&key).payload(&value).headers(headers);
        producer.send(record, Duration::from_secs(10)).await.unwrap();
    }
    let consumer =
        Program::start("consumer", "consumer", ["--instance-name", "dlq-test"], &bed.environment(), bed.folder())
            .unwrap();
    scenario::wait_until_stored(&bed, 400).await;
    let dead_letters = read_dead_letters(&bed, bad.len()).await;
    for (key, value, _) in &bad {
        let (payload, headers) = &dead_letters[key];
        assert_eq!(payload, value);
        assert_eq!((headers["trace"].as_str(), headers["dlq-instance"].as_str()), ("kept", "dlq-test"));
        assert_eq!((headers["dlq-topic"].as_str(), headers["dlq-partition"].as_str()), (bed.topic.topic.as_str(), "0"));
    }
    let kind = |key: &str| dead_letters[key].1["dlq-kind"].as_str();
    assert_eq!([kind("unknown-user"), kind("broken"), kind("newer")], ["unknown_user", "malformed", "unknown_type"]);
    assert_eq!((kind("negative"), dead_letters["negative"].1["dlq-sqlstate"].as_str()), ("refused_by_table", "23514"));
    assert_eq!(kind(&"x".repeat(51)), "invalid_id");
    assert_eq!(dead_letters["unknown-user"].1["dlq-offset"], "200");
    assert_eq!(stored(&bed).await, 400);
    tokio::task::spawn_blocking(move || consumer.stop()).await.unwrap().unwrap();
}

#[tokio::test]
async fn too_many_dead_letters_pause_the_consumer_until_a_signal_and_are_replayed_once_their_cause_is_gone() {
    let bed = Testbed::new("dead_letter_limit").await;
    ensure_topic(&bed.kafka, &bed.topic.orders()).await.unwrap();
    let producer: FutureProducer = bed.kafka.client(&[("acks", "all")]).create().unwrap();
    let order = r#"{"user_id":"newcomer","product_id":"P000001","quantity":1,"total_amount":1000,"shipping_cost":0,
        "discount_amount":0,"payment_method":"card","status":"paid","created_at":"2026-01-01T00:00:00Z"}"#;
    let keys: Vec<String> = (0..300).map(|n| format!("order-{n:03}")).collect();
    for key in &keys {
        let headers = OwnedHeaders::new().insert(Header { key: "trace", value: Some("kept") });
        let record = FutureRecord::to(&bed.topic.topic).key(key).payload(order).headers(headers);
        producer.send(record, Duration::from_secs(10)).await.unwrap();
    }
    let address = free_address().unwrap();
    let arguments = ["--listen".to_owned(), address.to_string()];
    let consumer = Program::start("consumer", "consumer", arguments, &bed.environment(), bed.folder()).unwrap();
    testbed::eventually("the limit is reached", TIMEOUT, async || consumer.log().contains("dead-letter limit reached"))
        .await;
    assert!(!metrics::is_ready(address).await);
    let dead_lettered = async || metrics::value(address, consumer::metrics::DEAD_LETTERED).await.unwrap_or(0.0);
    // A batch is counted after its last dead letter is sent, so that the count may be behind the 100 that are sent.
    assert!(dead_lettered().await <= 100.0);
    let list = async |bed: &Testbed| {
        let mut dlq = command("consumer").unwrap();
        dlq.args(["dlq", "list", "--output", "json"]).envs(bed.environment());
        let output = tokio::task::spawn_blocking(move || dlq.output()).await.unwrap().unwrap();
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        let listing: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{log}"));
        listing["kinds"]["unknown_user"].clone()
    };
    assert_eq!(list(&bed).await["orders"], 100);

    consumer.signal(Signal::USR1).unwrap();
    testbed::eventually("the rest follows", TIMEOUT, async || dead_lettered().await == 300.0).await;
    assert!(metrics::is_ready(address).await);
    let listed = list(&bed).await;
    assert_eq!((&listed["orders"], &listed["settled"]), (&300.into(), &0.into()), "{listed}");

    let replay = async |bed: &Testbed, arguments: &[&str]| {
        let mut dlq = command("consumer").unwrap();
        dlq.args(["dlq", "replay", "--output", "json"]).args(arguments).envs(bed.environment());
        let output = tokio::task::spawn_blocking(move || dlq.output()).await.unwrap().unwrap();
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        let replayed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{log}"));
        (replayed["replayed"].as_u64().unwrap(), replayed["settled"].as_u64().unwrap())
    };
    assert_eq!(replay(&bed, &["--kind", "malformed"]).await, (0, 0));
    assert_eq!(replay(&bed, &["--dry-run"]).await, (300, 0));
    // The user is still missing, so that these orders are dead-lettered again.
    assert_eq!(replay(&bed, &["--limit", "10"]).await, (10, 0));
    testbed::eventually("the orders are dead-lettered again", TIMEOUT, async || list(&bed).await["came_back"] == 10)
        .await;
    assert_eq!(list(&bed).await["orders"], 300);
    let newcomer = "INSERT INTO users (user_id, name, gender, age, age_group, region, join_date) \
                    VALUES ('newcomer', 'x', 'U', 30, '30대', '서울', now())";
    bed.sql().await.batch_execute(newcomer).await.unwrap();
    // The consumer caches for a moment that the user is unknown.
    testbed::eventually("all are stored", TIMEOUT, async || {
        replay(&bed, &["--max-replays", "1000"]).await;
        stored(&bed).await == 300
    })
    .await;
    assert_eq!(replay(&bed, &["--max-replays", "1000"]).await, (0, 300));
    let query = "SELECT count(DISTINCT order_id) FROM orders WHERE order_id LIKE 'order-%'";
    assert_eq!(bed.sql().await.query_one(query, &[]).await.unwrap().get::<_, i64>(0), 300);
    tokio::task::spawn_blocking(move || consumer.stop()).await.unwrap().unwrap();
}

/// Value and headers.
type ReadDeadLetter = (String, BTreeMap<String, String>);

async fn read_dead_letters(bed: &Testbed, count: usize) -> BTreeMap<String, ReadDeadLetter> {
    let role = [("auto.offset.reset", "earliest"), ("enable.auto.commit", "false")];
    let reader: BaseConsumer = bed.kafka.client(&role).set("group.id", format!("{}-dlq", bed.name)).create().unwrap();
    reader.subscribe(&[&bed.topic.dead_letter_topic()]).unwrap();
    let reading = tokio::task::spawn_blocking(move || {
        let (mut dead_letters, until) = (BTreeMap::new(), std::time::Instant::now() + TIMEOUT);
        while dead_letters.len() < count && std::time::Instant::now() < until {
            let Some(Ok(record)) = reader.poll(Duration::from_millis(200)) else { continue };
            let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
            let headers = record.headers().unwrap().iter().map(|header| (header.key.to_owned(), text(header.value)));
            dead_letters.insert(text(record.key()), (text(record.payload()), headers.collect()));
        }
        dead_letters
    });
    let dead_letters = reading.await.unwrap();
    assert_eq!(dead_letters.len(), count, "{dead_letters:?}");
    dead_letters
}

#[tokio::test]
async fn a_dead_letter_that_is_too_large_is_sent_without_its_large_part_and_blocks_no_other_order() {
    let bed = Testbed::new("large_dead_letter").await;
    ensure_topic(&bed.kafka, &bed.topic.orders()).await.unwrap();
    // Almost the maximum message size of the orders topic; a dead letter has further headers.
    let producer: FutureProducer = bed.kafka.client(&[("message.max.bytes", "2000000")]).create().unwrap();
    let mut random = String::new();
    while random.len() < 900_000 {
        random += &format!("{:x}", rand::random::<u128>());
    }
    let send = async |key: &str, value: &str, header: &str| {
        let headers = OwnedHeaders::new().insert(Header { key: "large", value: Some(header) });
        let record = FutureRecord::to(&bed.topic.topic).partition(0).key(key).payload(value).headers(headers);
        producer.send(record, Duration::from_secs(10)).await.unwrap();
    };
    send("large-value", &format!("{{\"payment_method\": \"{random}\"}}"), "").await;
    send("large-header", "{", &random).await;
    send("good", testbed::ORDER_VALUE, "").await;
    let consumer = Program::start("consumer", "consumer", [""; 0], &bed.environment(), bed.folder()).unwrap();
    scenario::wait_until_stored(&bed, 1).await;
    let dead_letters = read_dead_letters(&bed, 2).await;
    assert!(dead_letters.values().all(|(_, headers)| headers["dlq-message"].len() <= 4_000));
    tokio::task::spawn_blocking(move || consumer.stop()).await.unwrap().unwrap();
}
