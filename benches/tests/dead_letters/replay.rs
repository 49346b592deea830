//! `consumer dlq replay`: every record once, however often the command is repeated.

use benches::process::Program;
use rand::{RngExt, distr::Alphanumeric};
use rdkafka::{
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use serde_json::Value;
use shared::kafka::ensure_topic;
use testbed::Testbed;

use super::{dlq, run_dlq};
use crate::scenario::{TIMEOUT, stored};

/// An order of a user who does not exist yet.
fn order(total_amount: i64) -> String {
    format!(
        r#"{{"user_id":"newcomer","product_id":"P000001","quantity":1,"total_amount":{total_amount},"shipping_cost":0,
        "discount_amount":0,"payment_method":"card","status":"paid","created_at":"2026-01-01T00:00:00.123456789Z"}}"#
    )
}

/// The sum of a count over all kinds.
fn sum(listing: &Value, count: &str) -> u64 {
    let kinds = listing["kinds"].as_object().unwrap();
    kinds.values().map(|kind| kind[count].as_u64().unwrap()).sum()
}

#[tokio::test]
async fn every_record_of_a_key_is_replayed_once_however_often_the_replay_is_repeated() {
    let bed = Testbed::new("replay_identity").await;
    ensure_topic(&bed.kafka, &bed.topic.orders()).await.unwrap();
    let producer: FutureProducer = bed.kafka.client(&[("acks", "all")]).create().unwrap();
    // Two records with one key and different contents, an order with a key of its own, and two records without a key.
    let records = [(Some("twice"), 1_000), (Some("twice"), 2_000), (Some("once"), 3_000), (None, 4_000), (None, 5_000)];
    for (key, total_amount) in records {
        let value = order(total_amount);
        let mut record: FutureRecord<'_, str, str> = FutureRecord::to(&bed.topic.topic).partition(0).payload(&value);
        record.key = key;
        producer.send(record, TIMEOUT).await.unwrap();
    }
    let start = || Program::start("consumer", "consumer", [""; 0], &bed.environment(), bed.folder()).unwrap();
    let consumer = start();
    let counts = async || {
        let listing = dlq(&bed, &["list"]).await;
        ["orders", "came_back", "waiting", "settled", "conflicting"].map(|count| sum(&listing, count))
    };
    testbed::eventually("all are dead-lettered", TIMEOUT, async || counts().await == [5, 0, 0, 0, 0]).await;
    assert_eq!(dlq(&bed, &["replay", "--kind", "unknown_user"]).await["replayed"], 3);
    assert_eq!(dlq(&bed, &["replay", "--kind", "invalid_id"]).await["replayed"], 2);
    testbed::eventually("all are dead-lettered again", TIMEOUT, async || counts().await == [5, 5, 0, 0, 0]).await;
    tokio::task::spawn_blocking(move || consumer.stop()).await.unwrap().unwrap();

    // Without a consumer, what is replayed waits.
    let orders = ["replay", "--kind", "unknown_user"];
    let replayed = dlq(&bed, &orders).await;
    assert_eq!((&replayed["replayed"], &replayed["waiting"]), (&3.into(), &0.into()), "{replayed}");
    let repeated = dlq(&bed, &orders).await;
    assert_eq!((&repeated["replayed"], &repeated["waiting"]), (&0.into(), &3.into()), "{repeated}");
    assert_eq!(counts().await, [5, 5, 3, 0, 0]);

    let newcomer = "INSERT INTO users (user_id, name, gender, age, age_group, region, join_date) \
                    VALUES ('newcomer', 'x', 'U', 30, '30대', '서울', now())";
    bed.sql().await.batch_execute(newcomer).await.unwrap();
    let consumer = start();
    // Of the two records with one key, one is stored. The other one is not.
    let settled = async || counts().await == [5, 5, 0, 2, 1];
    testbed::eventually("two are stored, one conflicts", TIMEOUT, settled).await;
    assert_eq!(stored(&bed).await, 2);
    let last = dlq(&bed, &["replay", "--max-replays", "1000", "--kind", "unknown_user"]).await;
    assert_eq!(last["replayed"], 0, "{last}");
    let last = dlq(&bed, &["replay", "--max-replays", "1000", "--dry-run"]).await;
    let expected = [("replayed", 2), ("settled", 2), ("conflicting", 1), ("waiting", 0), ("failed", 0)];
    assert!(expected.iter().all(|(count, expected)| last[*count] == *expected), "{last}");
    tokio::task::spawn_blocking(move || consumer.stop()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_record_that_cannot_be_sent_is_reported_and_all_others_are_replayed() {
    let bed = Testbed::new("replay_failures").await;
    for topic in [bed.topic.orders(), bed.topic.dead_letters()] {
        ensure_topic(&bed.kafka, &topic).await.unwrap();
    }
    let producer: FutureProducer =
        bed.kafka.client(&[("acks", "all"), ("message.max.bytes", "2000000")]).create().unwrap();
    // More than librdkafka sends by default, and less than the topic accepts.
    let large: String = rand::rng().sample_iter(Alphanumeric).take(1_030_000).map(char::from).collect();
    let too_large = large.clone() + &large[..40_000];
    let (topic, good) = (bed.topic.topic.as_str(), order(1_000));
    let dead_letters = [
        ("first", topic, good.as_str()),
        ("no-topic", "", good.as_str()),
        ("bad-\u{1b}[31mtopic", "no such topic!", good.as_str()),
        ("large", topic, large.as_str()),
        ("too-large", topic, too_large.as_str()),
        ("last", topic, good.as_str()),
    ];
    for (offset, (key, topic, value)) in dead_letters.into_iter().enumerate() {
        let offset = offset.to_string();
        let headers =
            [("dlq-topic", topic), ("dlq-partition", "0"), ("dlq-offset", &offset), ("dlq-kind", "malformed")];
        let headers = headers
            .into_iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value) }));
        let name = bed.topic.dead_letter_topic();
        let record = FutureRecord::to(&name).partition(0).key(key).payload(value).headers(headers);
        producer.send(record, TIMEOUT).await.unwrap();
    }
    let output = run_dlq(&bed, &["replay", "--output", "json"]).await;
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{log}");
    let counts: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&counts["replayed"], &counts["failed"]), (&3.into(), &3.into()), "{log}");
    for reported in ["key=\"no-topic\"", "key=\"too-large\"", "partition=0 offset=2"] {
        let line =
            log.lines().find(|line| line.contains(reported)).unwrap_or_else(|| panic!("{reported} is not in {log}"));
        assert!(line.contains("dead letter can't be replayed"), "{line}");
    }
    assert!(!log.contains("\u{1b}[31mtopic"), "{log}");
    let mut keys: Vec<String> = super::read_topic(&bed, topic, 3).await.into_iter().map(|record| record.key).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["first", "large", "last"]);
}
