//! The least that can be done with librdkafka: records made beforehand, sent and counted.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use chrono::Utc;
use producer::{client::client_config, generate::Generator, partition::ORDERS_A_TURN, sample::SampledProduct};
use rand::RngExt;
use rdkafka::{
    ClientConfig, ClientContext,
    error::{KafkaError, RDKafkaErrorCode},
    message::{DeliveryResult, Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer, ProducerContext},
};
use shared::{
    kafka::KafkaSettings,
    order_id::{OrderId, RunTag, Sequence},
    wire::{EVENT_TYPE_HEADER, ORDER_PLACED_V1, encode_value},
};

use super::producer::PATIENCE;

/// An order as it goes out.
#[derive(Clone)]
pub struct Record {
    /// The order's id.
    pub key: String,
    /// The event.
    pub value: Vec<u8>,
}

impl Record {
    /// Key, header and value together.
    pub fn bytes(&self) -> usize {
        self.key.len() + EVENT_TYPE_HEADER.len() + ORDER_PLACED_V1.len() + self.value.len()
    }
}

/// Orders as the producer makes them, of a thousand users and products.
pub fn records(count: usize) -> Arc<Vec<Record>> {
    let generator = Generator::new(1);
    let tag = RunTag::random();
    let record = |n: usize| {
        let now = Utc::now();
        let mut random = generator.random_of(n as u64);
        let product_id = format!("P{:06}", random.random_range(0..1_000)).into();
        let product = SampledProduct { product_id, price: 12_340 };
        let user = format!("U{:08}", random.random_range(0..1_000)).into();
        let mut value = Vec::new();
        encode_value(&generator.order(&mut random, &user, &product, now), &mut value);
        let nanos = now.timestamp_nanos_opt().unwrap_or_default() as u64;
        let sequence = Sequence::new(n as u64).expect("far fewer than a run can name");
        Record { key: OrderId::new(nanos, tag, sequence).to_string(), value }
    };
    Arc::new((0..count).map(record).collect())
}

/// The client's settings, the producer's own.
pub fn config(kafka: &KafkaSettings) -> ClientConfig {
    client_config(kafka, false)
}

struct Counting(Arc<AtomicU64>);

impl ClientContext for Counting {}

impl ProducerContext for Counting {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_ok() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Sends `count` records, going through `records` again and again and giving each of the topic's `partitions` its turn, as the
/// producer does, and gives records a second until the last
/// acknowledgement. Blocks.
///
/// # Errors
/// When one is refused, or not all are acknowledged.
pub fn run(
    config: &ClientConfig,
    topic: &str,
    partitions: usize,
    records: &[Record],
    count: u64,
) -> anyhow::Result<f64> {
    let acknowledged = Arc::new(AtomicU64::new(0));
    let producer: BaseProducer<Counting> =
        config.create_with_context(Counting(acknowledged.clone())).context("the Kafka settings are not usable")?;
    let headers = OwnedHeaders::new().insert(Header { key: EVENT_TYPE_HEADER, value: Some(ORDER_PLACED_V1) });
    // The producer's clock begins once it has met the brokers, too.
    producer.client().fetch_metadata(Some(topic), PATIENCE).context("the brokers don't answer")?;
    std::thread::sleep(Duration::from_millis(200));
    let started = Instant::now();
    for (n, record) in records.iter().cycle().take(count as usize).enumerate() {
        let partition = n / ORDERS_A_TURN as usize % partitions;
        loop {
            let sent = BaseRecord::to(topic).key(&record.key).payload(&record.value).headers(headers.clone());
            let sent = sent.partition(partition as i32);
            match producer.send(sent) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    producer.poll(Duration::from_millis(1));
                }
                Err((error, _)) => bail!("the bare loop's record was refused: {error}"),
            }
        }
        if n % 500 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    while producer.in_flight_count() > 0 && started.elapsed() < PATIENCE {
        producer.poll(Duration::from_millis(1));
    }
    let all = acknowledged.load(Ordering::Relaxed);
    if all < count {
        bail!("only {all} of the bare loop's {count} records were acknowledged");
    }
    Ok(count as f64 / started.elapsed().as_secs_f64())
}
