//! What can't become a row goes to the dead-letter topic byte for byte, with headers that say where from and why.

use std::time::Duration;

use anyhow::Context;
use chrono::Utc;
use rdkafka::{
    Message,
    message::{Header, OwnedHeaders, OwnedMessage, ToBytes},
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use shared::{database::SqlError, kafka::KafkaSettings, retry::Backoff, wire::DecodeError};
use tokio_util::sync::CancellationToken;

use crate::store::GivenUp;

/// Why an order can't become a row.
#[derive(Debug, thiserror::Error)]
pub enum Defect {
    /// The record is no order.
    #[error(transparent)]
    Undecodable(#[from] DecodeError),
    /// There is no such user, in the cache or the database.
    #[error("there is no user {0:?}")]
    UnknownUser(String),
    /// There is no such product, in the cache or the database.
    #[error("there is no product {0:?}")]
    UnknownProduct(String),
    /// The table does not take it.
    #[error("the table refuses it: {0}")]
    Refused(#[from] SqlError),
}

impl Defect {
    /// The kind, by which dead letters are counted.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Undecodable(error) => error.kind(),
            Self::UnknownUser(_) => "unknown_user",
            Self::UnknownProduct(_) => "unknown_product",
            Self::Refused(_) => "refused_by_table",
        }
    }
}

/// The dead-letter topic.
pub struct DeadLetters {
    producer: FutureProducer,
    topic: String,
    instance: String,
}

impl DeadLetters {
    /// Opens the topic, which must exist.
    ///
    /// # Errors
    /// When a setting is wrong.
    pub fn open(kafka: &KafkaSettings, topic: String, instance: String) -> anyhow::Result<Self> {
        let role = [
            ("acks", "all"),
            ("enable.idempotence", "true"),
            ("compression.type", "lz4"),
            ("linger.ms", "5"),
            ("message.max.bytes", "4000000"),
        ];
        let producer = kafka.client(&role).create().context("the Kafka settings are not usable")?;
        Ok(Self { producer, topic, instance })
    }

    /// Sends `record` and waits until the brokers have acknowledged it, however long they are away.
    ///
    /// # Errors
    /// [`GivenUp`] once `abandon` is cancelled.
    pub async fn send(
        &self,
        record: &OwnedMessage,
        defect: &Defect,
        abandon: &CancellationToken,
    ) -> Result<(), GivenUp> {
        let headers = self.headers(record, defect);
        let mut backoff = Backoff::start();
        loop {
            let mut letter = FutureRecord::<[u8], [u8]>::to(&self.topic).headers(headers.clone());
            letter.key = record.key();
            letter.payload = record.payload();
            letter.timestamp = record.timestamp().to_millis();
            let sending = self.producer.send(letter, Timeout::After(Duration::from_secs(10)));
            match abandon.run_until_cancelled(sending).await {
                None => return Err(GivenUp),
                Some(Ok(_)) => return Ok(()),
                Some(Err((error, _))) => {
                    tracing::warn!(%error, "a dead letter is not acknowledged; trying again until it is");
                }
            }
            abandon.run_until_cancelled(tokio::time::sleep(backoff.next_delay())).await;
        }
    }

    fn headers(&self, record: &OwnedMessage, defect: &Defect) -> OwnedHeaders {
        let original = record.headers().cloned().unwrap_or_else(OwnedHeaders::new);
        let timestamp = record.timestamp().to_millis().map_or_else(String::new, |millis| millis.to_string());
        let sqlstate = match defect {
            Defect::Refused(error) => error.sqlstate().unwrap_or_default(),
            _ => "",
        };
        let add = |headers: OwnedHeaders, key: &str, value: &str| {
            headers.insert(Header { key, value: Some(value.to_bytes()) })
        };
        let mut headers = original;
        for (key, value) in [
            ("dlq-topic", record.topic()),
            ("dlq-partition", &record.partition().to_string()),
            ("dlq-offset", &record.offset().to_string()),
            ("dlq-timestamp", &timestamp),
            ("dlq-kind", defect.kind()),
            ("dlq-message", &defect.to_string()),
            ("dlq-sqlstate", sqlstate),
            ("dlq-at", &Utc::now().to_rfc3339()),
            ("dlq-instance", &self.instance),
        ] {
            headers = add(headers, key, value);
        }
        headers
    }
}
