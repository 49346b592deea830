//! The Kafka clients that dead letters are sent by, and replayed by.

use std::sync::{Mutex, PoisonError};

use rdkafka::{
    ClientConfig,
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    producer::{FutureProducer, Producer, future_producer::Delivery},
};
use shared::kafka::KafkaSettings;

/// The settings of the clients. The topic alone limits the size of a record, not the client. The queue is bounded, and
/// has room for the largest record that a consumer of librdkafka receives (100 MB). With several requests in flight,
/// librdkafka 2.12 reports a record as acknowledged that is lost, when the broker refuses the first request of a
/// partition and accepts the second one.
const SETTINGS: [(&str, &str); 7] = [
    ("acks", "all"),
    ("enable.idempotence", "true"),
    ("max.in.flight.requests.per.connection", "1"),
    ("compression.type", "lz4"),
    ("linger.ms", "5"),
    ("message.max.bytes", "1000000000"),
    ("queue.buffering.max.kbytes", "131072"),
];

/// Two clients: one sends many records in a request; the other sends each record in a request of its own, so that an
/// error of the request is about this record alone.
pub struct DeadLetterClients {
    pub batching: ReplaceableProducer,
    pub single: ReplaceableProducer,
}

impl DeadLetterClients {
    /// Creates the clients.
    ///
    /// # Errors
    /// When a Kafka setting is wrong.
    pub fn open(kafka: &KafkaSettings) -> KafkaResult<Self> {
        let batching = kafka.client(&SETTINGS);
        let mut single = batching.clone();
        single.set("batch.num.messages", "1");
        let clients = Self { batching: ReplaceableProducer::new(batching), single: ReplaceableProducer::new(single) };
        drop(clients.batching.get()?);
        Ok(clients)
    }
}

/// A client that is created at its first use, and replaced when it ended with a fatal error.
pub struct ReplaceableProducer {
    config: ClientConfig,
    current: Mutex<Option<FutureProducer>>,
}

impl ReplaceableProducer {
    fn new(config: ClientConfig) -> Self {
        Self { config, current: Mutex::new(None) }
    }

    /// The client. After a fatal error no client recovers, so this is then a new one.
    ///
    /// # Errors
    /// When it can't be created.
    pub fn get(&self) -> KafkaResult<FutureProducer> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(producer) = current.as_ref() {
            let Some((_, reason)) = producer.client().fatal_error() else { return Ok(producer.clone()) };
            tracing::warn!("dead letters: the Kafka client ended with a fatal error and is replaced: {reason}");
        }
        let producer: FutureProducer = self.config.create()?;
        let ended = current.replace(producer.clone());
        // Dropping a client blocks until its thread ends.
        ended.map(|ended| std::thread::spawn(move || drop(ended)));
        Ok(producer)
    }
}

/// The error of an acknowledgement without an offset. librdkafka concludes it from the acknowledgement of a later record,
/// although this one may be lost.
pub fn implicit_acknowledgement(delivery: &Delivery) -> Option<KafkaError> {
    (delivery.offset < 0).then_some(KafkaError::MessageProduction(RDKafkaErrorCode::Fail))
}

/// Whether the topic refuses the record itself, so that it refuses it at each retry; or it refuses another record of
/// the request.
pub fn is_refusal(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::MessageSizeTooLarge
                | RDKafkaErrorCode::MessageBatchTooLarge
                | RDKafkaErrorCode::InvalidMessageSize
                | RDKafkaErrorCode::InvalidRecord
                | RDKafkaErrorCode::InvalidTimestamp
                | RDKafkaErrorCode::InvalidDifferentRecord
        )
    )
}

#[cfg(test)]
mod tests {
    use rdkafka::Timestamp;

    use super::*;

    #[test]
    fn an_acknowledgement_without_an_offset_is_an_error_that_is_retried() {
        let delivery = |offset| Delivery { partition: 0, offset, timestamp: Timestamp::NotAvailable };
        assert!(implicit_acknowledgement(&delivery(0)).is_none());
        let error = implicit_acknowledgement(&delivery(-1001)).unwrap();
        assert!(!is_refusal(&error), "{error}");
    }
}
