//! A dead-letter topic that refuses a record.

use std::{collections::BTreeMap, time::Duration};

use benches::{
    metrics,
    process::{Program, free_address},
};
use rdkafka::{
    admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use shared::kafka::ensure_topic;
use testbed::Testbed;

use super::{dlq, read_dead_letters, read_topic};
use crate::scenario::{self, TIMEOUT};

async fn create_dead_letter_topic(bed: &Testbed, setting: (&str, &str)) -> AdminClient<DefaultClientContext> {
    let admin: AdminClient<DefaultClientContext> = bed.kafka.client(&[]).create().unwrap();
    let name = bed.topic.dead_letter_topic();
    let topic = NewTopic::new(&name, bed.topic.partitions, TopicReplication::Fixed(3)).set(setting.0, setting.1);
    admin.create_topics([&topic], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    admin
}

#[tokio::test]
async fn a_topic_that_limits_the_age_of_timestamps_accepts_dead_letters_and_a_replay_restores_the_timestamp() {
    let bed = Testbed::new("dead_letter_age").await;
    ensure_topic(&bed.kafka, &bed.topic.orders()).await.unwrap();
    create_dead_letter_topic(&bed, ("message.timestamp.before.max.ms", "3600000")).await;
    let producer: FutureProducer = bed.kafka.client(&[("acks", "all")]).create().unwrap();
    let sent_at = chrono::Utc::now().timestamp_millis();
    let old = sent_at - 2 * 3_600_000;
    let record: FutureRecord<'_, str, str> = FutureRecord::to(&bed.topic.topic).key("old").payload("{").timestamp(old);
    producer.send(record, TIMEOUT).await.unwrap();
    let consumer = Program::start("consumer", "consumer", [""; 0], &bed.environment(), bed.folder()).unwrap();
    let letters = read_topic(&bed, &bed.topic.dead_letter_topic(), 1).await;
    assert!(letters[0].timestamp >= sent_at, "{letters:?}");
    assert_eq!(letters[0].headers["dlq-timestamp"], old.to_string());
    tokio::task::spawn_blocking(move || consumer.stop()).await.unwrap().unwrap();

    assert_eq!(dlq(&bed, &["replay"]).await["replayed"], 1);
    let orders = read_topic(&bed, &bed.topic.topic, 2).await;
    assert!(orders.iter().all(|record| record.timestamp == old), "{orders:?}");
}

#[tokio::test]
async fn a_topic_that_refuses_every_record_is_waited_for_until_it_accepts_them() {
    let bed = Testbed::new("dead_letter_limit_of_topic").await;
    ensure_topic(&bed.kafka, &bed.topic.orders()).await.unwrap();
    let admin = create_dead_letter_topic(&bed, ("max.message.bytes", "100")).await;
    let producer: FutureProducer = bed.kafka.client(&[("acks", "all")]).create().unwrap();
    for key in ["a", "b", "c"] {
        let record = FutureRecord::to(&bed.topic.topic).partition(0).key(key).payload("{");
        producer.send(record, TIMEOUT).await.unwrap();
    }
    let address = free_address().unwrap();
    let arguments = ["--listen".to_owned(), address.to_string()];
    let consumer = Program::start("consumer", "consumer", arguments, &bed.environment(), bed.folder()).unwrap();
    let refused = async || consumer.log().contains("refuses the dead letter of");
    testbed::eventually("the refusal is reported", TIMEOUT, refused).await;
    assert!(!metrics::is_ready(address).await);
    let topic = bed.topic.dead_letter_topic();
    let larger = AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("max.message.bytes", "1000000");
    admin.alter_configs([&larger], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    let letters = read_dead_letters(&bed, 3).await;
    // The topic may accept the last form of a letter whose first one it has just refused.
    let has_hash = |headers: &BTreeMap<String, String>| headers.contains_key("dlq-value-sha256");
    assert!(letters.values().all(|(value, headers)| (value == "{") != has_hash(headers)), "{letters:?}");
    assert!(letters.values().filter(|(_, headers)| has_hash(headers)).count() <= 1, "{letters:?}");
    testbed::eventually("it is ready again", TIMEOUT, async || metrics::is_ready(address).await).await;
    let log = consumer.log();
    assert_eq!(log.matches("refuses the dead letter of").count(), 1, "{log}");
    assert_eq!(log.matches("dead-letter topic: working again").count(), 1, "{log}");
    tokio::task::spawn_blocking(move || consumer.stop()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_dead_letter_that_is_too_large_is_sent_without_its_large_part_and_blocks_no_other_order() {
    let bed = Testbed::new("large_dead_letter").await;
    ensure_topic(&bed.kafka, &bed.topic.orders()).await.unwrap();
    create_dead_letter_topic(&bed, ("max.message.bytes", "500000")).await;
    // Almost the maximum message size of the orders topic.
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
    let (value, headers) = &dead_letters["large-header"];
    assert_eq!((value.as_str(), headers.contains_key("large")), ("{", false));
    let (value, headers) = &dead_letters["large-value"];
    let place: serde_json::Value = serde_json::from_str(value).unwrap();
    assert_eq!((&place["offset"], &place["value_sha256"]), (&0.into(), &headers["dlq-value-sha256"].as_str().into()));
    let log = consumer.log();
    for loud in ["its headers are left out", "its value is replaced by its SHA-256"] {
        assert_eq!(log.matches(loud).count(), 1, "{log}");
    }
    tokio::task::spawn_blocking(move || consumer.stop()).await.unwrap().unwrap();
}
