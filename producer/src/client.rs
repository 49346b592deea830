//! The Kafka client: how it is set, so that nothing acknowledged is lost and batches are full.

use std::time::Duration;

use anyhow::Context;
use rdkafka::{ClientConfig, producer::BaseProducer};
use shared::kafka::KafkaSettings;

use crate::{deliver::DeliveryContext, partition::ORDERS_A_TURN};

/// How long a batch is waited for. With a schedule, 2 ms keep both the latency and the brokers' work low. Without one, 20
/// were measured at twice the throughput of 5 (50 and 100 gain nothing more), and at a fortieth of the latency: with less,
/// the brokers drown in small requests and the queue stays full.
pub fn linger(paced: bool) -> Duration {
    Duration::from_millis(if paced { 2 } else { 20 })
}

/// The client's settings: all acknowledgements, idempotent, lz4.
pub fn client_config(kafka: &KafkaSettings, paced: bool) -> ClientConfig {
    kafka.client(&[
        ("acks", "all"),
        ("enable.idempotence", "true"),
        ("compression.type", "lz4"),
        // Connected to each broker from the beginning, not from the first order on.
        ("enable.sparse.connections", "false"),
        ("linger.ms", &linger(paced).as_millis().to_string()),
        ("batch.size", "1000000"),
        // A batch goes as soon as its partition's turn is over.
        ("batch.num.messages", &ORDERS_A_TURN.to_string()),
        ("queue.buffering.max.messages", "100000"),
        ("queue.buffering.max.kbytes", "32768"),
    ])
}

/// Makes the client out of `config`, which counts as `context` says.
///
/// # Errors
/// When a setting is wrong.
pub fn client(config: &ClientConfig, context: DeliveryContext) -> anyhow::Result<BaseProducer<DeliveryContext>> {
    config.create_with_context(context).context("the Kafka settings are not usable")
}
