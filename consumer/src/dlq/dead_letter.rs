//! A record of the dead-letter topic, as it is read.

use rdkafka::{
    Message,
    message::{BorrowedMessage, Headers},
};
use shared::{
    dlq_headers,
    kafka::read_headers,
    wire::{self, EVENT_TYPE_HEADER, ORDER_STATUS_CHANGED_V1, ReceivedEvent},
};

use super::digest::{Digest, digest_text};
use crate::model::RecordPosition;

/// Identifies a dead-lettered record, through all of its replays: the place and timestamp that it had first, with the
/// hashes of its key and value. Places alone are not enough, since a recreated topic has the same ones again, and
/// headers are copied by other programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity(Digest);

impl Identity {
    /// `origin` as in [`dlq_headers::REPLAY_ORIGIN`].
    pub fn of(origin: &str, key: Option<&[u8]>, value: Option<&[u8]>) -> Self {
        Self::of_digests(origin, &digest_text(key), &digest_text(value))
    }

    fn of_digests(origin: &str, key: &str, value: &str) -> Self {
        Self(Digest::of(format!("{origin}\n{key}\n{value}").as_bytes()))
    }
}

/// All headers of a record, in their order.
type RecordHeaders = Vec<(String, Option<Vec<u8>>)>;

/// A record of the dead-letter topic.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    pub position: RecordPosition,
    pub identity: Identity,
    /// How often the record was replayed.
    pub replays: u32,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    /// Milliseconds after the Unix epoch.
    pub timestamp: Option<i64>,
    /// All headers, in their order.
    pub headers: RecordHeaders,
}

impl DeadLetter {
    /// Parses a record of the dead-letter topic; none when a header's name is not UTF-8.
    pub fn parse(record: &BorrowedMessage<'_>) -> Option<Self> {
        let headers = || -> RecordHeaders {
            let headers = record.headers().into_iter().flat_map(Headers::iter);
            headers.map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
        };
        let headers = read_headers(headers).ok()?;
        let position = RecordPosition { partition: record.partition(), offset: record.offset() };
        let (key, value) = (record.key().map(<[u8]>::to_vec), record.payload().map(<[u8]>::to_vec));
        Some(Self::new(position, key, value, record.timestamp().to_millis(), headers))
    }

    pub(super) fn new(
        position: RecordPosition,
        key: Option<Vec<u8>>,
        value: Option<Vec<u8>>,
        timestamp: Option<i64>,
        headers: RecordHeaders,
    ) -> Self {
        let digest = |header, part: Option<&Vec<u8>>| {
            last_header(&headers, header).unwrap_or_else(|| digest_text(part.map(Vec::as_slice)))
        };
        let key_digest = digest(dlq_headers::KEY_SHA256, key.as_ref());
        let value_digest = digest(dlq_headers::VALUE_SHA256, value.as_ref());
        let replays = last_header(&headers, dlq_headers::REPLAY_COUNT).and_then(|count| count.parse().ok());
        let identity = Identity::of_digests(&first_place(&headers), &key_digest, &value_digest);
        Self { position, identity, replays: replays.unwrap_or_default(), key, value, timestamp, headers }
    }

    /// The last header of this name as text; empty when there is none.
    pub fn header(&self, name: &str) -> String {
        last_header(&self.headers, name).unwrap_or_default()
    }

    /// The kind of reason that the record was rejected for.
    pub fn kind(&self) -> String {
        self.header(dlq_headers::KIND)
    }

    /// Topic, partition and offset that the record had.
    pub fn place(&self) -> String {
        place(&self.headers)
    }

    /// The place that the record had before its first replay, as in [`dlq_headers::REPLAY_ORIGIN`].
    pub fn first_place(&self) -> String {
        first_place(&self.headers)
    }

    /// Whether the value is that of the record.
    pub fn has_its_value(&self) -> bool {
        self.value.is_some() && last_header(&self.headers, dlq_headers::VALUE_SHA256).is_none()
    }

    /// The timestamp of the record; none when it had none.
    pub fn record_timestamp(&self) -> Option<i64> {
        match last_header(&self.headers, dlq_headers::TIMESTAMP) {
            Some(timestamp) => timestamp.parse().ok(),
            None => self.timestamp,
        }
    }

    /// The headers that the record had before it was dead-lettered, without those of a replay.
    pub fn original_headers(&self) -> impl Iterator<Item = &(String, Option<Vec<u8>>)> {
        let of_replay = [dlq_headers::REPLAY_COUNT, dlq_headers::REPLAY_ORIGIN];
        let is_original = move |name: &str| !name.starts_with(dlq_headers::PREFIX) && !of_replay.contains(&name);
        self.headers.iter().filter(move |(name, _)| is_original(name))
    }

    /// The event of the record, if it has one.
    pub fn event(&self) -> Option<ReceivedEvent> {
        let value = self.value.as_deref().filter(|_| self.has_its_value());
        wire::decode(self.event_type(), self.key.as_deref(), value).ok()
    }

    /// Whether the record is a change of an order, by its header.
    pub fn is_change(&self) -> bool {
        self.event_type() == Some(ORDER_STATUS_CHANGED_V1.as_bytes())
    }

    fn event_type(&self) -> Option<&[u8]> {
        let (_, event_type) = self.original_headers().find(|(name, _)| name == EVENT_TYPE_HEADER)?;
        event_type.as_deref()
    }

    /// The order's id, if the key is one that the table can have.
    pub fn order_id(&self) -> Option<&str> {
        let id = std::str::from_utf8(self.key.as_deref()?).ok()?;
        (!id.is_empty() && !id.contains('\0')).then_some(id)
    }

    pub fn key_text(&self) -> String {
        String::from_utf8_lossy(self.key.as_deref().unwrap_or_default()).into_owned()
    }
}

/// The last header of this name as text; none when there is none.
fn last_header(headers: &RecordHeaders, name: &str) -> Option<String> {
    let (_, value) = headers.iter().rev().find(|(key, _)| key == name)?;
    Some(String::from_utf8_lossy(value.as_deref().unwrap_or_default()).into_owned())
}

/// `TOPIC:PARTITION:OFFSET`.
fn place(headers: &RecordHeaders) -> String {
    [dlq_headers::TOPIC, dlq_headers::PARTITION, dlq_headers::OFFSET]
        .map(|name| last_header(headers, name).unwrap_or_default())
        .join(":")
}

fn first_place(headers: &RecordHeaders) -> String {
    last_header(headers, dlq_headers::REPLAY_ORIGIN).unwrap_or_else(|| {
        let timestamp = last_header(headers, dlq_headers::TIMESTAMP).unwrap_or_default();
        format!("{}@{timestamp}", place(headers))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(offset: &str, more: &[(&str, &str)], value: &str) -> DeadLetter {
        let place = [("dlq-topic", "orders"), ("dlq-partition", "3"), ("dlq-offset", offset), ("dlq-timestamp", "9")];
        let headers =
            more.iter().chain(&place).map(|(name, value)| ((*name).to_owned(), Some(value.as_bytes().into())));
        let position = RecordPosition { partition: 0, offset: 0 };
        DeadLetter::new(position, Some(b"key".into()), Some(value.into()), Some(77), headers.collect())
    }

    #[test]
    fn a_record_keeps_its_identity_through_replays_and_two_records_with_one_key_have_two() {
        let first = letter("1", &[], "value");
        assert_eq!(first.first_place(), "orders:3:1@9");
        let replayed = [("replay-count", "1"), ("replay-origin", "orders:3:1@9")];
        let again = letter("20", &replayed, "value");
        assert_eq!((again.identity, again.replays), (first.identity, 1));
        assert_eq!(Identity::of("orders:3:1@9", Some(b"key"), Some(b"value")), first.identity);
        assert_ne!(letter("2", &[], "value").identity, first.identity);
        assert_ne!(letter("20", &replayed, "copied headers, other value").identity, first.identity);
        let reference = [replayed[0], replayed[1], ("dlq-value-sha256", &digest_text(Some(b"value")))];
        let reference = letter("21", &reference, "{}");
        assert_eq!((reference.identity, reference.has_its_value()), (first.identity, false));
    }

    #[test]
    fn a_replay_restores_the_timestamp_of_the_record_and_its_own_headers_only() {
        let letter = letter("1", &[("trace", "kept"), ("replay-count", "2")], "value");
        assert_eq!((letter.record_timestamp(), letter.timestamp), (Some(9), Some(77)));
        let names: Vec<&str> = letter.original_headers().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["trace"]);
    }
}
