//! The Kafka client and its configuration: no loss of acknowledged records, and full batches.

use std::time::Duration;

use anyhow::Context;
use rdkafka::{ClientConfig, producer::BaseProducer};
use shared::kafka::KafkaSettings;

use super::{delivery::DeliveryContext, partitioner::MAX_BATCH_ORDERS};

/// The names of the setting for the time in which a batch gets orders. The first one is ours.
pub const LINGER_SETTINGS: [&str; 2] = ["linger.ms", "queue.buffering.max.ms"];

/// `linger.ms` by default. 2 ms keep both the latency and the number of requests low in a paced run. In an unpaced run,
/// 20 ms have twice the throughput of 5 ms and a fortieth of the latency, as measured: with a shorter linger the brokers
/// receive too many small requests and the queue stays full. 50 and 100 ms are not faster.
pub fn default_linger(paced: bool) -> Duration {
    Duration::from_millis(if paced { 2 } else { 20 })
}

/// The part of `linger.ms` in which the partitioner stays at a partition. The client sends the batch when `linger.ms` is
/// over, and what it gets later waits for the acknowledgement of the batch. The rest is for a sending thread that is
/// slightly late.
pub fn partitioner_window(linger: Duration) -> Duration {
    linger * 7 / 8
}

/// With a shorter `linger.ms`, a partition would get a single order per round trip, see [`super::partition_queue`].
const MIN_WINDOW: Duration = Duration::from_millis(1);

/// The limits of a batch in bytes, before its compression. The brokers accept 1 MB by default, after it
/// (`message.max.bytes`). Orders compress to a fifth, and to less than half even with long random ids and traces.
const BATCH_SIZE_SETTINGS: [&str; 2] = ["batch.size", "message.max.bytes"];
const MAX_COMPRESSED_BATCH_BYTES: &str = "2000000";
const MAX_UNCOMPRESSED_BATCH_BYTES: &str = "1000000";
const COMPRESSION_SETTINGS: [&str; 2] = ["compression.type", "compression.codec"];

/// The configuration of the client: `acks=all`, idempotent, lz4, and what the user has changed.
pub fn client_config(kafka: &KafkaSettings, linger: Duration) -> ClientConfig {
    let [name, other_name] = LINGER_SETTINGS;
    let mut config = kafka.client(&[
        ("acks", "all"),
        ("enable.idempotence", "true"),
        (COMPRESSION_SETTINGS[0], "lz4"),
        // Connects to every broker at start, so that the first orders do not wait for it.
        ("enable.sparse.connections", "false"),
        (name, &(linger.as_secs_f64() * 1_000.0).to_string()),
        (BATCH_SIZE_SETTINGS[0], MAX_COMPRESSED_BATCH_BYTES),
        (BATCH_SIZE_SETTINGS[1], MAX_COMPRESSED_BATCH_BYTES),
        // The batch of a partition is sent as soon as the partitioner switches to the next one.
        ("batch.num.messages", &MAX_BATCH_ORDERS.to_string()),
        ("queue.buffering.max.messages", "100000"),
        ("queue.buffering.max.kbytes", "32768"),
    ]);
    // With both names in the configuration, either value may apply.
    if let Some(changed) = config.get(other_name).map(str::to_owned) {
        config.remove(other_name).set(name, changed);
    }
    if COMPRESSION_SETTINGS.iter().any(|name| config.get(name) == Some("none")) {
        for name in BATCH_SIZE_SETTINGS {
            if config.get(name) == Some(MAX_COMPRESSED_BATCH_BYTES) {
                config.set(name, MAX_UNCOMPRESSED_BATCH_BYTES);
            }
        }
    }
    config
}

/// How long a batch gets orders by this configuration.
pub fn linger(config: &ClientConfig) -> Duration {
    config.get(LINGER_SETTINGS[0]).and_then(|millis| millis.parse().ok()).map(millis).unwrap_or_default()
}

fn millis(millis: f64) -> Duration {
    Duration::try_from_secs_f64(millis / 1_000.0).unwrap_or_default()
}

/// What librdkafka adds to the key and the value of an order in its limits: the record's own fields and its header.
const RECORD_OVERHEAD: usize = 80;
/// What it adds for the second header of an order that is traced.
const TRACEPARENT_BYTES: usize = 70;

/// The limits of the client's batches and of its queue.
#[derive(Clone, Copy, Debug)]
pub struct ClientLimits {
    /// How long a batch gets orders.
    pub window: Duration,
    /// Bytes of an order in addition to its key and its value.
    pub record_overhead: usize,
    /// Maximum orders of a batch.
    pub batch_orders: usize,
    /// Maximum bytes of a batch.
    pub batch_bytes: usize,
    /// Maximum orders of the queue.
    pub queue_orders: usize,
    /// Maximum bytes of the queue.
    pub queue_bytes: usize,
    /// Maximum time until an order is acknowledged.
    pub timeout: Duration,
}

impl ClientLimits {
    /// Those of the configuration, which the user may have changed.
    pub fn of(config: &ClientConfig) -> Self {
        let value = |keys: &[&str]| keys.iter().find_map(|key| config.get(key)?.parse::<f64>().ok());
        let limit = |keys: &[&str], default: usize| value(keys).map_or(default, |value| value as usize);
        // 0 means no limit.
        let queue = |key: &str| Some(limit(&[key], 0)).filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        let timeout = value(&["delivery.timeout.ms", "message.timeout.ms"]).unwrap_or(300_000.0);
        Self {
            // Slightly less than `linger.ms`, since the thread may be interrupted between the clock and the client.
            window: (linger(config) * 15 / 16).max(MIN_WINDOW),
            record_overhead: RECORD_OVERHEAD,
            batch_orders: limit(&["batch.num.messages"], 10_000),
            batch_bytes: limit(&["batch.size"], 1_000_000).min(limit(&["message.max.bytes"], 1_000_000)),
            queue_orders: queue("queue.buffering.max.messages"),
            queue_bytes: queue("queue.buffering.max.kbytes").saturating_mul(1_024),
            timeout: if timeout > 0.0 { millis(timeout) } else { Duration::MAX },
        }
    }

    /// The same for a run in which orders are traced: each order may be one of them.
    pub fn with_traces(self) -> Self {
        Self { record_overhead: self.record_overhead + TRACEPARENT_BYTES, ..self }
    }
}

/// Creates the client.
///
/// # Errors
/// When librdkafka refuses a setting.
pub fn client(config: &ClientConfig, context: DeliveryContext) -> anyhow::Result<BaseProducer<DeliveryContext>> {
    config.create_with_context(context).context("librdkafka refuses the Kafka settings")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Settings {
        #[command(flatten)]
        kafka: KafkaSettings,
    }

    fn config(arguments: &[&str]) -> ClientConfig {
        let arguments = ["producer"].iter().chain(arguments);
        client_config(&Settings::parse_from(arguments).kafka, Duration::from_micros(2_500))
    }

    #[test]
    fn batches_without_compression_are_not_larger_than_the_brokers_accept() {
        for none in ["compression.type=none", "compression.codec=none"] {
            let limits =
                |arguments: &[&str]| BATCH_SIZE_SETTINGS.map(|name| config(arguments).get(name).map(str::to_owned));
            assert_eq!(limits(&[]), [Some("2000000".to_owned()), Some("2000000".to_owned())]);
            let config = ["--kafka-config", none];
            assert_eq!(limits(&config), [Some("1000000".to_owned()), Some("1000000".to_owned())], "{none}");
            let changed = [&config[..], &["--kafka-config", "batch.size=500000"]].concat();
            assert_eq!(limits(&changed), [Some("500000".to_owned()), Some("1000000".to_owned())], "{none}");
        }
    }

    #[test]
    fn client_and_partitioner_have_one_linger_by_whichever_name_it_is_set() {
        assert_eq!((config(&[]).get("linger.ms"), linger(&config(&[]))), (Some("2.5"), Duration::from_micros(2_500)));
        for name in LINGER_SETTINGS {
            let config = config(&["--kafka-config", &format!("{name}=50")]);
            assert_eq!(LINGER_SETTINGS.map(|name| config.get(name)), [Some("50"), None], "{name}");
            assert_eq!(linger(&config), Duration::from_millis(50), "{name}");
            assert!(ClientLimits::of(&config).window > Duration::from_millis(40), "{name}");
        }
    }
}
