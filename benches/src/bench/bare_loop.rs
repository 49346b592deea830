//! The minimal producer on librdkafka: it sends records that are encoded already, and counts acknowledgements.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::Receiver,
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use producer::send::{
    client::{client_config, default_linger},
    partitioner::MAX_BATCH_ORDERS,
};
use rdkafka::{
    ClientConfig, ClientContext,
    error::{KafkaError, RDKafkaErrorCode},
    message::{DeliveryResult, Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer, ProducerContext},
};
use shared::{
    kafka::{KafkaSettings, ensure_topic},
    program::Outcome,
    wire::{EVENT_TYPE_HEADER, ORDER_PLACED_V1},
};
use tokio_util::sync::CancellationToken;

use super::{
    encoded_order::{ENCODED_ORDERS, EncodedOrder, encode_orders},
    timeouts::SEND_TIMEOUT,
};
use crate::{interruptible::run_blocking, settings::BareLoopSettings};

/// The client settings of the producer.
fn config(kafka: &KafkaSettings) -> ClientConfig {
    client_config(kafka, default_linger(false))
}

/// Counts the acknowledged records.
struct AcknowledgementCounter(Arc<AtomicU64>);

impl ClientContext for AcknowledgementCounter {}

impl ProducerContext for AcknowledgementCounter {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_ok() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The contestant of `bench producer`. Prints nothing: it is timed from outside.
///
/// # Errors
/// As [`send`], and on `stop`.
pub async fn run_bare_loop(settings: BareLoopSettings, stop: &CancellationToken) -> anyhow::Result<Outcome> {
    let (kafka, topic) = (&settings.services.kafka, &settings.services.topic);
    let partitions = ensure_topic(kafka, &topic.orders()).await?;
    let sending = send(kafka, &topic.topic, partitions, encode_orders(ENCODED_ORDERS), settings.orders);
    stop.run_until_cancelled(sending).await.context("interrupted")??;
    Ok(Outcome::Valid)
}

/// Sends `count` records, and returns after the last acknowledgement. Repeats `records` as often as needed. Where a
/// record has no partition, changes it as often as the producer does. When the future is dropped, sending stops.
///
/// # Errors
/// When a record is refused, or not all are acknowledged.
pub async fn send(
    kafka: &KafkaSettings,
    topic: &str,
    partitions: usize,
    records: Arc<Vec<EncodedOrder>>,
    count: u64,
) -> anyhow::Result<()> {
    let (config, topic, stop) = (config(kafka), topic.to_owned(), CancellationToken::new());
    let stopped = stop.clone();
    let sending = move || run(&config, &topic, partitions, &records, count, &stopped);
    let end = |ended: &Receiver<()>| {
        stop.cancel();
        let _ = ended.recv_timeout(SEND_TIMEOUT);
    };
    run_blocking(sending, end).await?
}

fn run(
    config: &ClientConfig,
    topic: &str,
    partitions: usize,
    records: &[EncodedOrder],
    count: u64,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let acknowledged = Arc::new(AtomicU64::new(0));
    let counter = AcknowledgementCounter(acknowledged.clone());
    let producer: BaseProducer<_> = config.create_with_context(counter).context("the Kafka settings are not usable")?;
    let headers = OwnedHeaders::new().insert(Header { key: EVENT_TYPE_HEADER, value: Some(ORDER_PLACED_V1) });
    let started = Instant::now();
    for (n, record) in records.iter().cycle().take(count as usize).enumerate() {
        let partition = record.partition.unwrap_or((n / MAX_BATCH_ORDERS as usize % partitions) as i32);
        loop {
            let sent = BaseRecord::to(topic).key(&record.key).payload(&record.value).headers(headers.clone());
            let sent = sent.partition(partition);
            match producer.send(sent) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    ensure!(!stop.is_cancelled(), "interrupted");
                    producer.poll(Duration::from_millis(1));
                }
                Err((error, _)) => bail!("bare loop: a record is refused: {error}"),
            }
        }
        if n % 500 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    while producer.in_flight_count() > 0 && started.elapsed() < SEND_TIMEOUT && !stop.is_cancelled() {
        producer.poll(Duration::from_millis(1));
    }
    let all = acknowledged.load(Ordering::Relaxed);
    if all < count {
        bail!("bare loop: only {all} of {count} records are acknowledged");
    }
    Ok(())
}
