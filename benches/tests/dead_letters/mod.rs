//! Orders that can't be stored: the dead-letter topic, the limit of dead letters, and the replay.

mod refusals;
mod replay;

use std::{
    collections::BTreeMap,
    process::Output,
    time::{Duration, Instant},
};

use benches::{
    metrics,
    process::{Program, command, free_address},
};
use rdkafka::{
    Message, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    message::{Header, Headers, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use rustix::process::Signal;
use serde_json::Value;
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
    let list = async |bed: &Testbed| dlq(bed, &["list"]).await["kinds"]["unknown_user"].clone();
    assert_eq!(list(&bed).await["orders"], 100);

    consumer.signal(Signal::USR1).unwrap();
    testbed::eventually("the rest follows", TIMEOUT, async || dead_lettered().await == 300.0).await;
    assert!(metrics::is_ready(address).await);
    let listed = list(&bed).await;
    assert_eq!((&listed["orders"], &listed["settled"]), (&300.into(), &0.into()), "{listed}");

    let replay = async |bed: &Testbed, arguments: &[&str]| {
        let replayed = dlq(bed, &[&["replay"][..], arguments].concat()).await;
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

/// Runs `consumer dlq` with these arguments.
async fn run_dlq(bed: &Testbed, arguments: &[&str]) -> Output {
    let mut dlq = command("consumer").unwrap();
    dlq.arg("dlq").args(arguments).envs(bed.environment());
    tokio::task::spawn_blocking(move || dlq.output()).await.unwrap().unwrap()
}

/// The JSON that `consumer dlq` prints.
async fn dlq(bed: &Testbed, arguments: &[&str]) -> Value {
    let output = run_dlq(bed, &[arguments, &["--output", "json"]].concat()).await;
    let log = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{log}"))
}

/// A record of a topic, as text.
#[derive(Debug)]
struct ReadRecord {
    key: String,
    value: String,
    headers: BTreeMap<String, String>,
    /// Milliseconds after the Unix epoch.
    timestamp: i64,
}

impl ReadRecord {
    fn of(record: &impl Message<Headers = impl Headers>) -> Self {
        let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        let headers = record.headers().into_iter().flat_map(Headers::iter);
        Self {
            key: text(record.key()),
            value: text(record.payload()),
            headers: headers.map(|header| (header.key.to_owned(), text(header.value))).collect(),
            timestamp: record.timestamp().to_millis().unwrap(),
        }
    }
}

/// Reads `count` records of a topic.
async fn read_topic(bed: &Testbed, topic: &str, count: usize) -> Vec<ReadRecord> {
    let role = [("auto.offset.reset", "earliest"), ("enable.auto.commit", "false")];
    let reader: BaseConsumer = bed.kafka.client(&role).set("group.id", format!("{}-dlq", bed.name)).create().unwrap();
    let mut partitions = TopicPartitionList::new();
    for partition in 0..bed.topic.partitions {
        partitions.add_partition_offset(topic, partition, rdkafka::Offset::Beginning).unwrap();
    }
    reader.assign(&partitions).unwrap();
    let reading = tokio::task::spawn_blocking(move || {
        let (mut records, until) = (Vec::new(), Instant::now() + TIMEOUT);
        while records.len() < count && Instant::now() < until {
            let Some(Ok(record)) = reader.poll(Duration::from_millis(200)) else { continue };
            records.push(ReadRecord::of(&record));
        }
        records
    });
    let records = reading.await.unwrap();
    assert_eq!(records.len(), count, "{records:?}");
    records
}

/// Value and headers.
type ReadDeadLetter = (String, BTreeMap<String, String>);

async fn read_dead_letters(bed: &Testbed, count: usize) -> BTreeMap<String, ReadDeadLetter> {
    let records = read_topic(bed, &bed.topic.dead_letter_topic(), count).await;
    records.into_iter().map(|record| (record.key, (record.value, record.headers))).collect()
}
