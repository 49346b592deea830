//! The delivery of dead letters to a mock cluster, which answers with the errors that a test asks for.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use clap::Parser;
use rdkafka::{
    Message,
    consumer::{BaseConsumer, Consumer},
    message::Headers,
    mocking::MockCluster,
    producer::{DefaultProducerContext, Producer},
    topic_partition_list::TopicPartitionList,
    types::{RDKafkaApiKey, RDKafkaRespErr},
};
use shared::kafka::{KafkaSettings, TopicSettings};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{
    digest::digest_text,
    letter::{DeadLetterOutcome, Rejected},
    limiter::DeadLetterLimiter,
    topic::{DeadLetterSink, DeadLetterTopic},
};
use crate::{
    health::ConsumerHealth,
    model::{InFlightRecord, KafkaRecord, PartitionHandle, RecordPosition, RejectReason},
    retry_scope::RetryScope,
    settings::DeadLetterLimit,
};

const TIMEOUT: Duration = Duration::from_secs(20);
/// 2001-09-09.
const OLD: i64 = 1_000_000_000_000;

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    kafka: KafkaSettings,
    #[command(flatten)]
    topic: TopicSettings,
}

struct Bed {
    mock: MockCluster<'static, DefaultProducerContext>,
    settings: Settings,
    topic: DeadLetterTopic,
    health: Arc<ConsumerHealth>,
}

impl Bed {
    fn new() -> Self {
        let mock = MockCluster::new(1).unwrap();
        mock.create_topic("orders.dlq", 1, 1).unwrap();
        let settings = Settings::parse_from(["test", "--topic", "orders", "--brokers", &mock.bootstrap_servers()]);
        let (limiter, health) = (DeadLetterLimiter::new(DeadLetterLimit::Unlimited), Arc::default());
        let open = DeadLetterTopic::open;
        let topic =
            open(&settings.kafka, &settings.topic, "test".to_owned(), Arc::new(limiter), Arc::clone(&health)).unwrap();
        Self { mock, settings, topic: topic.reporting_after(Duration::from_millis(300)), health }
    }

    fn fail_produce_requests(&self, errors: &[RDKafkaRespErr]) {
        self.mock.request_errors(RDKafkaApiKey::Produce, errors);
    }

    async fn send(&self, records: &[InFlightRecord]) -> Vec<DeadLetterOutcome> {
        let (reason, force_stop) = (RejectReason::UnknownUser("nobody".to_owned()), CancellationToken::new());
        let rejected: Vec<_> = records.iter().map(|in_flight| Rejected { in_flight, reason: &reason }).collect();
        self.topic.send(&rejected, &mut RetryScope::new(&force_stop, &|| false)).await.unwrap()
    }

    async fn until_not_ready(&self) -> String {
        testbed::eventually("the outage is reported", TIMEOUT, async || self.health.status().ready().is_err()).await;
        self.health.status().ready().unwrap_err()
    }

    /// Reads `count` records of the topic.
    fn read(&self, count: usize) -> Vec<ReadLetter> {
        let role = [("group.id", "test"), ("auto.offset.reset", "earliest")];
        let reader: BaseConsumer = self.settings.kafka.client(&role).create().unwrap();
        let mut all = TopicPartitionList::new();
        all.add_partition_offset("orders.dlq", 0, rdkafka::Offset::Beginning).unwrap();
        reader.assign(&all).unwrap();
        (0..count).map(|_| ReadLetter::of(&reader.poll(TIMEOUT).expect("a record arrives").unwrap())).collect()
    }
}

struct ReadLetter {
    key: String,
    value: String,
    timestamp: i64,
    headers: BTreeMap<String, String>,
}

impl ReadLetter {
    fn of(record: &impl Message<Headers = impl Headers>) -> Self {
        let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap_or_default().to_vec()).unwrap();
        let headers = record.headers().unwrap().iter().map(|header| (header.key.to_owned(), text(header.value)));
        Self {
            key: text(record.key()),
            value: text(record.payload()),
            timestamp: record.timestamp().to_millis().unwrap(),
            headers: headers.collect(),
        }
    }
}

fn record(partition: &Arc<PartitionHandle>, offset: i64, key: &[u8]) -> InFlightRecord {
    let position = RecordPosition { partition: partition.partition(), offset };
    InFlightRecord {
        partition: partition.clone(),
        record: KafkaRecord::of_order(position, Some(OLD), Some(key), Some(b"the value")),
        read_at: SystemTime::now(),
        memory: Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap(),
    }
}

fn records(count: i64) -> Vec<InFlightRecord> {
    let partition = PartitionHandle::new(0);
    (0..count).map(|offset| record(&partition, offset, format!("order-{offset}").as_bytes())).collect()
}

#[tokio::test]
async fn all_dead_letters_of_a_batch_are_in_flight_at_once_and_an_outage_is_waited_out() {
    let bed = Bed::new();
    bed.mock.broker_down(-1).unwrap();
    let records = records(50);
    let watching = async {
        let in_flight = async || bed.topic.batching_client().in_flight_count() == 50;
        testbed::eventually("all are in flight", TIMEOUT, in_flight).await;
        let issue = bed.until_not_ready().await;
        assert!(issue.contains("orders.dlq: records are not acknowledged: no answer about 50 of them"), "{issue}");
        bed.mock.broker_up(-1).unwrap();
    };
    let (outcomes, ()) = tokio::join!(bed.send(&records), watching);
    assert_eq!(outcomes, [DeadLetterOutcome::Acknowledged; 50]);
    assert_eq!(bed.health.status().ready(), Ok(()));
    let mut keys: Vec<String> = bed.read(50).into_iter().map(|letter| letter.key).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 50);
}

#[tokio::test]
async fn a_dead_letter_has_the_time_of_its_death_and_the_time_of_its_order_in_a_header() {
    let bed = Bed::new();
    let before = chrono::Utc::now().timestamp_millis();
    bed.send(&records(1)).await;
    let letter = &bed.read(1)[0];
    assert!((before..=chrono::Utc::now().timestamp_millis()).contains(&letter.timestamp), "{}", letter.timestamp);
    assert_eq!(letter.headers["dlq-timestamp"], OLD.to_string());
}

#[tokio::test]
async fn a_refused_request_is_sent_again_record_by_record_and_costs_none_its_value() {
    let bed = Bed::new();
    bed.fail_produce_requests(&[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE]);
    assert_eq!(bed.send(&records(3)).await, [DeadLetterOutcome::Acknowledged; 3]);
    for letter in bed.read(3) {
        assert_eq!((letter.value.as_str(), letter.headers["event-type"].as_str()), ("the value", "order.placed.v1"));
    }
}

#[tokio::test]
async fn a_record_that_the_topic_refuses_leaves_its_place_and_its_hash() {
    let bed = Bed::new();
    for (error, key) in [
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_RECORD, "short"),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, &"long".repeat(300)),
    ] {
        bed.fail_produce_requests(&[error; 3]);
        let refused = [record(&PartitionHandle::new(4), 7, key.as_bytes())];
        assert_eq!(bed.send(&refused).await, [DeadLetterOutcome::Acknowledged]);
    }
    let letters = bed.read(2);
    let hash = digest_text(Some(b"the value"));
    for letter in &letters {
        let place: serde_json::Value = serde_json::from_str(&letter.value).unwrap();
        let expected = serde_json::json!({
            "topic": "orders", "partition": 4, "offset": 7, "value_bytes": 9, "value_sha256": hash,
        });
        assert_eq!(place, expected);
        assert_eq!(letter.headers["dlq-value-sha256"], hash);
        assert_eq!(letter.headers["event-type"], "order.placed.v1", "a replay needs it");
    }
    assert_eq!((letters[0].key.as_str(), letters[0].headers.get("dlq-key-sha256")), ("short", None));
    assert_eq!(letters[1].key, "");
    assert_eq!(letters[1].headers["dlq-key-sha256"], digest_text(Some("long".repeat(300).as_bytes())));
}

#[tokio::test]
async fn a_topic_that_refuses_every_form_is_an_outage_until_it_accepts_the_record() {
    let bed = Bed::new();
    bed.fail_produce_requests(&[RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_RECORD; 4]);
    let records = records(1);
    let issue = "it refuses the dead letter of orders 0:0 (key \"order-0\") in every form";
    let is_reported = async || bed.health.status().ready().is_err_and(|issues| issues.contains(issue));
    let reported = testbed::eventually("the refusals are reported", TIMEOUT, is_reported);
    let (outcomes, ()) = tokio::join!(bed.send(&records), reported);
    assert_eq!((outcomes[0], bed.health.status().ready()), (DeadLetterOutcome::Acknowledged, Ok(())));
    assert_eq!(bed.read(1)[0].value, "the value");
}

#[tokio::test]
async fn a_client_that_ended_fatally_is_replaced_each_time() {
    let bed = Bed::new();
    let fatal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
    bed.mock.request_errors(RDKafkaApiKey::InitProducerId, &[fatal; 2]);
    let records = records(2);
    let (outcomes, issue) = tokio::join!(bed.send(&records), bed.until_not_ready());
    assert!(issue.contains("records are not acknowledged"), "{issue}");
    assert_eq!((outcomes, bed.health.status().ready()), (vec![DeadLetterOutcome::Acknowledged; 2], Ok(())));
    bed.read(2);
}

#[tokio::test]
async fn a_dead_letter_whose_partition_is_revoked_is_handed_back() {
    let bed = Bed::new();
    let (revoked, kept) = (PartitionHandle::new(0), PartitionHandle::new(1));
    revoked.revoke();
    let records = [record(&revoked, 0, b"revoked"), record(&kept, 0, b"kept")];
    assert_eq!(bed.send(&records).await, [DeadLetterOutcome::HandedBack, DeadLetterOutcome::Acknowledged]);
    assert_eq!(bed.read(1)[0].key, "kept");

    bed.mock.broker_down(-1).unwrap();
    let waiting = [record(&kept, 1, b"waiting")];
    let revoking = async {
        bed.until_not_ready().await;
        kept.revoke();
    };
    let (outcomes, ()) = tokio::join!(bed.send(&waiting), revoking);
    assert_eq!((outcomes, bed.health.status().ready()), (vec![DeadLetterOutcome::HandedBack], Ok(())));
}
