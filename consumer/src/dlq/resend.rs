//! Sends the records of dead letters to their topic.

use rdkafka::{
    Message,
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders, OwnedMessage},
    producer::{FutureRecord, future_producer::DeliveryFuture},
};
use shared::dlq_headers;

use super::{
    client::{DeadLetterClients, implicit_acknowledgement, is_refusal},
    dead_letter::DeadLetter,
};
use crate::model::RecordPosition;

/// Why a record was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Once those in flight are acknowledged, there is room.
    #[error("the queue of the Kafka client is full")]
    QueueFull,
    #[error("it has no header {}, so its topic is not known", dlq_headers::TOPIC)]
    NoTopic,
    #[error("{0}")]
    Kafka(#[from] KafkaError),
}

impl SendError {
    fn of(error: KafkaError) -> Self {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::QueueFull) => Self::QueueFull,
            _ => Self::Kafka(error),
        }
    }

    /// Whether the cluster or the client is the cause, so that no other record can be sent either.
    pub fn is_outage(&self) -> bool {
        let Self::Kafka(error) = self else { return matches!(self, Self::QueueFull) };
        match error.rdkafka_error_code() {
            None => true,
            Some(code) => matches!(
                code,
                RDKafkaErrorCode::MessageTimedOut
                    | RDKafkaErrorCode::AllBrokersDown
                    | RDKafkaErrorCode::BrokerTransportFailure
                    | RDKafkaErrorCode::ClusterAuthorizationFailed
                    | RDKafkaErrorCode::Fatal
                    | RDKafkaErrorCode::PurgeQueue
                    | RDKafkaErrorCode::PurgeInflight
            ),
        }
    }
}

/// A record that was not sent.
pub struct Failure {
    pub position: RecordPosition,
    pub key: String,
    pub error: SendError,
}

/// The records that were sent, until they are acknowledged.
pub struct Resender {
    clients: DeadLetterClients,
    runtime: tokio::runtime::Handle,
    in_flight: Vec<(RecordPosition, DeliveryFuture)>,
}

impl Resender {
    pub fn new(clients: DeadLetterClients, runtime: tokio::runtime::Handle) -> Self {
        Self { clients, runtime, in_flight: Vec::new() }
    }

    /// The number of records that are not acknowledged yet.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Sends the record of a dead letter, as it was, with headers about the replay.
    ///
    /// # Errors
    /// When it can't be enqueued.
    pub fn send(&mut self, dead_letter: &DeadLetter) -> Result<(), SendError> {
        let topic = dead_letter.header(dlq_headers::TOPIC);
        if topic.is_empty() {
            return Err(SendError::NoTopic);
        }
        let (count, first_place) = ((dead_letter.replays + 1).to_string(), dead_letter.first_place());
        let original = dead_letter.original_headers();
        let original = original
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: value.as_ref() }));
        let mut record: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(&topic);
        record.key = dead_letter.key.as_deref();
        record.payload = dead_letter.value.as_deref();
        record.timestamp = dead_letter.record_timestamp();
        record.headers = Some(
            original
                .insert(Header { key: dlq_headers::REPLAY_COUNT, value: Some(&count) })
                .insert(Header { key: dlq_headers::REPLAY_ORIGIN, value: Some(&first_place) }),
        );
        let sent = self.clients.batching.get().map_err(SendError::of)?.send_result(record);
        self.in_flight.push((dead_letter.position, sent.map_err(|(error, _)| SendError::of(error))?));
        Ok(())
    }

    /// Waits for all that are in flight, and returns those that failed. Blocks.
    pub fn wait_for_acknowledgements(&mut self) -> Vec<Failure> {
        let mut failures = Vec::new();
        for (position, delivery) in std::mem::take(&mut self.in_flight) {
            let failed = match self.runtime.block_on(delivery) {
                Ok(Ok(delivery)) => implicit_acknowledgement(&delivery).map(|error| (String::new(), error)),
                Ok(Err((error, record))) => {
                    let key = String::from_utf8_lossy(record.key().unwrap_or_default()).into_owned();
                    // The refusal may be about another record of the request.
                    let error = if is_refusal(&error) { self.send_alone(&record).err() } else { Some(error) };
                    error.map(|error| (key, error))
                }
                Err(_) => Some((String::new(), KafkaError::Canceled)),
            };
            failures.extend(failed.map(|(key, error)| Failure { position, key, error: SendError::of(error) }));
        }
        failures
    }

    fn send_alone(&self, record: &OwnedMessage) -> Result<(), KafkaError> {
        let mut again: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(record.topic());
        again.key = record.key();
        again.payload = record.payload();
        again.timestamp = record.timestamp().to_millis();
        again.headers = record.headers().cloned();
        let delivery = self.clients.single.get()?.send_result(again).map_err(|(error, _)| error)?;
        let delivered = self.runtime.block_on(delivery).map_err(|_| KafkaError::Canceled)?;
        let delivery = delivered.map_err(|(error, _)| error)?;
        implicit_acknowledgement(&delivery).map_or(Ok(()), Err)
    }
}
