//! What a dead letter has of its record: all of it, or less when the topic refuses the record.

use std::borrow::Cow;

use chrono::Utc;
use rdkafka::{
    message::{Header, Headers, OwnedHeaders},
    producer::FutureRecord,
};
use serde_json::json;
use shared::{dlq_headers, kafka::read_headers, wire::EVENT_TYPE_HEADER};

use super::digest::digest_text;
use crate::model::{KafkaRecord, RejectReason};

/// Maximum characters of the header with the reason.
const MAX_MESSAGE_CHARS: usize = 1_000;
/// The headers of the record that every form has: without them, a replay would send another order.
const KEPT_HEADERS: [&str; 3] = [EVENT_TYPE_HEADER, dlq_headers::REPLAY_COUNT, dlq_headers::REPLAY_ORIGIN];
/// Maximum bytes of a header that every form has; more are cut off.
const MAX_KEPT_HEADER_BYTES: usize = 1_000;
/// Maximum bytes of the key of a reference. The id of an order has at most 50 characters.
const MAX_REFERENCE_KEY_BYTES: usize = 1_000;

/// What a dead letter has of its record. Each form is smaller than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Whole,
    /// Key and value, without the headers of the record.
    WithoutHeaders,
    /// The place of the record, and the hash of its value.
    Reference,
}

impl Form {
    /// The next smaller form.
    pub fn smaller(self) -> Option<Self> {
        match self {
            Self::Whole => Some(Self::WithoutHeaders),
            Self::WithoutHeaders => Some(Self::Reference),
            Self::Reference => None,
        }
    }
}

/// Describes dead letters by headers.
pub struct DeadLetterWriter {
    /// Topic of the orders.
    pub source_topic: String,
    /// Dead-letter topic.
    pub topic: String,
    pub instance: String,
}

/// The parts of a dead letter.
pub struct WrittenDeadLetter<'a> {
    topic: &'a str,
    key: Option<&'a [u8]>,
    value: Option<Cow<'a, [u8]>>,
    headers: OwnedHeaders,
}

impl WrittenDeadLetter<'_> {
    /// The record for the client. It has no timestamp: the client sets the current time.
    pub fn record(&self) -> FutureRecord<'_, [u8], [u8]> {
        let mut record = FutureRecord::to(self.topic).headers(self.headers.clone());
        record.key = self.key;
        record.payload = self.value.as_deref();
        record
    }
}

impl DeadLetterWriter {
    pub fn write<'a>(&'a self, record: &'a KafkaRecord, reason: &RejectReason, form: Form) -> WrittenDeadLetter<'a> {
        let original = if form == Form::Whole { record.headers() } else { kept_headers(record) };
        let headers = self.describe(original, record, reason);
        match form {
            Form::Whole | Form::WithoutHeaders => WrittenDeadLetter {
                topic: &self.topic,
                key: record.key(),
                value: record.value().map(Cow::Borrowed),
                headers,
            },
            Form::Reference => self.reference(record, headers),
        }
    }

    fn reference<'a>(&'a self, record: &'a KafkaRecord, headers: OwnedHeaders) -> WrittenDeadLetter<'a> {
        let value_sha256 = digest_text(record.value());
        let reference = json!({
            "topic": self.source_topic, "partition": record.position.partition, "offset": record.position.offset,
            "value_bytes": record.value().map(<[u8]>::len), "value_sha256": value_sha256,
        });
        let mut headers = headers.insert(Header { key: dlq_headers::VALUE_SHA256, value: Some(&value_sha256) });
        let key = record.key().filter(|key| key.len() <= MAX_REFERENCE_KEY_BYTES);
        if key.is_none() && record.key().is_some() {
            let digest = digest_text(record.key());
            headers = headers.insert(Header { key: dlq_headers::KEY_SHA256, value: Some(&digest) });
        }
        let value = Some(Cow::Owned(reference.to_string().into_bytes()));
        WrittenDeadLetter { topic: &self.topic, key, value, headers }
    }

    fn describe(&self, original: OwnedHeaders, record: &KafkaRecord, reason: &RejectReason) -> OwnedHeaders {
        let timestamp = record.timestamp.map_or_else(String::new, |millis| millis.to_string());
        let sqlstate = match reason {
            RejectReason::RefusedByTable(error) => error.sqlstate().unwrap_or_default(),
            _ => "",
        };
        // The message may contain a value of the record of any length.
        let message: String = reason.to_string().chars().take(MAX_MESSAGE_CHARS).collect();
        let described = [
            (dlq_headers::TOPIC, self.source_topic.as_str()),
            (dlq_headers::PARTITION, &record.position.partition.to_string()),
            (dlq_headers::OFFSET, &record.position.offset.to_string()),
            (dlq_headers::TIMESTAMP, &timestamp),
            (dlq_headers::KIND, reason.kind()),
            (dlq_headers::MESSAGE, &message),
            (dlq_headers::SQLSTATE, sqlstate),
            (dlq_headers::AT, &Utc::now().to_rfc3339()),
            (dlq_headers::INSTANCE, &self.instance),
        ];
        let add =
            |headers: OwnedHeaders, (key, value): &(&str, &str)| headers.insert(Header { key, value: Some(*value) });
        described.iter().fold(original, add)
    }
}

/// Those of [`KEPT_HEADERS`] that the record has; none when the name of one of its headers is not UTF-8.
fn kept_headers(record: &KafkaRecord) -> OwnedHeaders {
    let all = record.headers();
    let kept = || {
        let kept = all.iter().filter(|header| KEPT_HEADERS.contains(&header.key));
        kept.fold(OwnedHeaders::new(), |headers, Header { key, value }| {
            let value = value.map(|value| &value[..value.len().min(MAX_KEPT_HEADER_BYTES)]);
            headers.insert(Header { key, value })
        })
    };
    read_headers(kept).unwrap_or_else(|_| OwnedHeaders::new())
}
