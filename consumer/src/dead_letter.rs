//! What can't become a row goes to the dead-letter topic byte for byte, with headers that say where from and why.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use chrono::Utc;
use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use shared::{
    database::SqlError,
    kafka::{KafkaSettings, TopicSettings},
    wire::DecodeError,
};

use crate::{
    flood::{FloodGate, Verdict},
    health::{Health, Obstacle},
    outage::{GivenUp, Outage},
    record::Record,
    settle::Letters,
};

/// How long one try may take.
const SEND: Duration = Duration::from_secs(10);
const MESSAGE_CHARS: usize = 1_000;
/// Time between two looks at whether a flood was accepted.
const LOOK_EVERY: Duration = Duration::from_millis(250);

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
    from: String,
    topic: String,
    instance: String,
    gate: Arc<FloodGate>,
    health: Arc<Health>,
}

impl DeadLetters {
    /// Opens the topic, which must exist.
    ///
    /// # Errors
    /// When a setting is wrong.
    pub fn open(
        kafka: &KafkaSettings,
        topic: &TopicSettings,
        instance: String,
        gate: Arc<FloodGate>,
        health: Arc<Health>,
    ) -> anyhow::Result<Self> {
        let role = [
            ("acks", "all"),
            ("enable.idempotence", "true"),
            ("compression.type", "lz4"),
            ("linger.ms", "5"),
            ("message.max.bytes", "4000000"),
        ];
        let producer = kafka.client(&role).create().context("the Kafka settings are not usable")?;
        Ok(Self { producer, from: topic.topic.clone(), topic: topic.dead_letter_topic(), instance, gate, health })
    }

    /// Waits while letters of this kind are a flood.
    async fn pass_gate(&self, kind: &'static str, outage: &mut Outage<'_>) -> Result<(), GivenUp> {
        let mut held = false;
        while let Verdict::Hold { letters } = self.gate.try_pass(kind, Instant::now()) {
            held = true;
            outage.check()?;
            let what = format!(
                "{letters} orders of kind {kind} within seconds are a flood: is this the right database, and seeded, and are \
                 the producers of this version? Nothing more is dead-lettered until told so: kill -USR1 {} accepts it, \
                 Ctrl-C leaves the orders in the topic",
                std::process::id()
            );
            outage.report(&self.health, Obstacle::Flood, what);
            outage.unless_abandoned(tokio::time::sleep(LOOK_EVERY)).await?;
        }
        if held {
            self.health.well(Obstacle::Flood);
        }
        Ok(())
    }

    fn letter<'a>(&'a self, record: &'a Record, defect: &Defect, form: Form) -> FutureRecord<'a, [u8], [u8]> {
        let original = if form == Form::Whole { record.headers() } else { OwnedHeaders::new() };
        let headers = self.describe(record, defect, original);
        let mut letter = FutureRecord::to(&self.topic).headers(headers);
        letter.key = record.key();
        letter.payload = record.value().filter(|_| form != Form::WithoutValue);
        letter.timestamp = record.timestamp;
        letter
    }

    fn describe(&self, record: &Record, defect: &Defect, original: OwnedHeaders) -> OwnedHeaders {
        let timestamp = record.timestamp.map_or_else(String::new, |millis| millis.to_string());
        let sqlstate = match defect {
            Defect::Refused(error) => error.sqlstate().unwrap_or_default(),
            _ => "",
        };
        // The message may quote what the record says, however long that is.
        let message: String = defect.to_string().chars().take(MESSAGE_CHARS).collect();
        let described = [
            ("dlq-topic", self.from.as_str()),
            ("dlq-partition", &record.partition.to_string()),
            ("dlq-offset", &record.offset.to_string()),
            ("dlq-timestamp", &timestamp),
            ("dlq-kind", defect.kind()),
            ("dlq-message", &message),
            ("dlq-sqlstate", sqlstate),
            ("dlq-at", &Utc::now().to_rfc3339()),
            ("dlq-instance", &self.instance),
        ];
        let add =
            |headers: OwnedHeaders, (key, value): &(&str, &str)| headers.insert(Header { key, value: Some(*value) });
        described.iter().fold(original, add)
    }
}

impl Letters for DeadLetters {
    fn decided(&self, records: usize) {
        self.gate.records(records as u64, Instant::now());
    }

    /// Sends `record` and waits until the brokers have acknowledged it, however long they are away. One that is too large
    /// with all of its headers goes without them, and one that is too large still goes without its value: the headers say
    /// where the whole is.
    async fn send(&self, record: &Record, defect: &Defect, outage: &mut Outage<'_>) -> Result<(), GivenUp> {
        self.pass_gate(defect.kind(), outage).await?;
        let mut form = Form::Whole;
        loop {
            outage.check()?;
            let sending = self.producer.send(self.letter(record, defect, form), Timeout::After(SEND));
            match outage.unless_abandoned(sending).await?.map_err(|(error, _)| error) {
                Ok(_) => {
                    self.health.well(Obstacle::DeadLetters);
                    return Ok(());
                }
                Err(error) if is_too_large(&error) && form != Form::WithoutValue => {
                    form = if form == Form::Whole { Form::WithoutHeaders } else { Form::WithoutValue };
                }
                Err(error) => {
                    let what = format!("a dead letter is not acknowledged: {error}; trying again until it is");
                    outage.report(&self.health, Obstacle::DeadLetters, what);
                    outage.wait().await;
                }
            }
        }
    }
}

/// How much of the record a dead letter has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Whole,
    WithoutHeaders,
    WithoutValue,
}

fn is_too_large(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge)
}
