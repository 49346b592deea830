//! The Kafka client and its configuration: no loss of acknowledged records, and full batches.

use std::time::Duration;

use anyhow::Context;
use rdkafka::{ClientConfig, producer::BaseProducer};
use shared::kafka::KafkaSettings;

use super::{delivery::DeliveryContext, partitioner::MAX_BATCH_ORDERS};

/// `linger.ms`. 2 ms keep both the latency and the number of requests low in a paced run. In an unpaced run, 20 ms have
/// twice the throughput of 5 ms and a fortieth of the latency, as measured: with a shorter linger the brokers receive
/// too many small requests and the queue stays full. 50 and 100 ms are not faster.
pub fn linger(paced: bool) -> Duration {
    Duration::from_millis(if paced { 2 } else { 20 })
}

/// The configuration of the client: `acks=all`, idempotent, lz4.
pub fn client_config(kafka: &KafkaSettings, paced: bool) -> ClientConfig {
    kafka.client(&[
        ("acks", "all"),
        ("enable.idempotence", "true"),
        ("compression.type", "lz4"),
        // Connects to every broker at start, so that the first orders do not wait for it.
        ("enable.sparse.connections", "false"),
        ("linger.ms", &linger(paced).as_millis().to_string()),
        ("batch.size", "1000000"),
        // The batch of a partition is sent as soon as the partitioner switches to the next one.
        ("batch.num.messages", &MAX_BATCH_ORDERS.to_string()),
        ("queue.buffering.max.messages", "100000"),
        ("queue.buffering.max.kbytes", "32768"),
    ])
}

/// Creates the client.
///
/// # Errors
/// When librdkafka refuses a setting.
pub fn client(config: &ClientConfig, context: DeliveryContext) -> anyhow::Result<BaseProducer<DeliveryContext>> {
    config.create_with_context(context).context("librdkafka refuses the Kafka settings")
}
