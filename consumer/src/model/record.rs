//! A record of the topic, copied out of librdkafka's memory. librdkafka uses several times as much memory per record,
//! until the last record of its fetch is dropped.

use std::{fmt, str::FromStr};

use rdkafka::{
    Message,
    message::{BorrowedMessage, Header, Headers, OwnedHeaders},
};
use serde::{Serialize, Serializer};
use shared::{
    kafka::{UnreadableHeader, read_headers},
    traces::{SpanContext, TRACEPARENT_HEADER, decode_traceparent},
    wire::{EVENT_TYPE_HEADER, ORDER_PLACED_V1, ORDER_STATUS_CHANGED_V1},
};

/// Memory of a record in bytes, without key and value, after decoding and enriching.
const OVERHEAD_BYTES: usize = 256;

/// Memory of a header in bytes, without name and value.
const HEADER_BYTES: usize = 64;

/// The position of a record in its topic: `PARTITION:OFFSET`, both counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordPosition {
    pub partition: i32,
    pub offset: i64,
}

impl FromStr for RecordPosition {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const USAGE: &str = "a record's position is PARTITION:OFFSET, such as 3:42, as `dlq list` prints it";
        let (partition, offset) = text.split_once(':').ok_or(USAGE)?;
        let (partition, offset) = (partition.parse().map_err(|_| USAGE)?, offset.parse().map_err(|_| USAGE)?);
        if partition >= 0 && offset >= 0 { Ok(Self { partition, offset }) } else { Err(USAGE) }
    }
}

impl fmt::Display for RecordPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.partition, self.offset)
    }
}

impl Serialize for RecordPosition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[derive(Debug)]
pub struct KafkaRecord {
    pub position: RecordPosition,
    /// Milliseconds after the Unix epoch.
    pub timestamp: Option<i64>,
    /// The key, then the value.
    bytes: Box<[u8]>,
    key_length: Option<usize>,
    has_value: bool,
    headers: RecordHeaders,
    pub kind: RecordKind,
    /// The bytes of memory that the record uses, estimated.
    pub weight: usize,
}

/// What the header `event-type` says that a record is. Each kind is counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// An order, or anything else that is no change.
    Order,
    /// A change of an order's status.
    Change,
}

impl RecordKind {
    fn of_event_type(event_type: Option<&[u8]>) -> Self {
        if event_type == Some(ORDER_STATUS_CHANGED_V1.as_bytes()) { Self::Change } else { Self::Order }
    }

    fn event_type(self) -> &'static str {
        match self {
            Self::Order => ORDER_PLACED_V1,
            Self::Change => ORDER_STATUS_CHANGED_V1,
        }
    }
}

/// Most records have only the header `event-type` with the type of their kind, which is not stored.
#[derive(Debug)]
enum RecordHeaders {
    EventTypeOnly(RecordKind),
    Other(OwnedHeaders),
}

impl RecordHeaders {
    fn kind(&self) -> RecordKind {
        match self {
            Self::EventTypeOnly(kind) => *kind,
            Self::Other(headers) => RecordKind::of_event_type(event_type(headers).ok().flatten()),
        }
    }

    /// A header whose name can't be read counts as an empty one.
    fn bytes(&self) -> usize {
        let Self::Other(headers) = self else { return 0 };
        let bytes = |at| {
            let header = read_headers(|| headers.get(at));
            HEADER_BYTES + header.map_or(0, |header| header.key.len() + header.value.map_or(0, <[u8]>::len))
        };
        (0..headers.count()).map(bytes).sum()
    }
}

impl KafkaRecord {
    pub fn copy_of(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers();
        let first = || {
            let header = headers.filter(|headers| headers.count() == 1)?.get(0);
            (header.key == EVENT_TYPE_HEADER).then_some(header.value)?
        };
        let only = read_headers(first).unwrap_or_default();
        let kind = RecordKind::of_event_type(only);
        let headers = match headers {
            Some(_) if only == Some(kind.event_type().as_bytes()) => RecordHeaders::EventTypeOnly(kind),
            Some(other) => RecordHeaders::Other(other.detach()),
            None => RecordHeaders::Other(OwnedHeaders::new_with_capacity(0)),
        };
        let position = RecordPosition { partition: message.partition(), offset: message.offset() };
        Self::new(position, message.timestamp().to_millis(), message.key(), message.payload(), headers)
    }

    fn new(
        position: RecordPosition,
        timestamp: Option<i64>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: RecordHeaders,
    ) -> Self {
        let bytes = [key.unwrap_or_default(), value.unwrap_or_default()].concat().into_boxed_slice();
        let weight = OVERHEAD_BYTES + bytes.len() + headers.bytes();
        Self {
            position,
            timestamp,
            bytes,
            key_length: key.map(<[u8]>::len),
            has_value: value.is_some(),
            kind: headers.kind(),
            headers,
            weight,
        }
    }

    /// The key; none is not the same as an empty one.
    pub fn key(&self) -> Option<&[u8]> {
        self.key_length.map(|length| &self.bytes[..length])
    }

    /// The value; none is a tombstone.
    pub fn value(&self) -> Option<&[u8]> {
        self.has_value.then(|| &self.bytes[self.key_length.unwrap_or(0)..])
    }

    pub fn headers(&self) -> OwnedHeaders {
        match &self.headers {
            RecordHeaders::EventTypeOnly(kind) => {
                OwnedHeaders::new().insert(Header { key: EVENT_TYPE_HEADER, value: Some(kind.event_type()) })
            }
            RecordHeaders::Other(headers) => headers.clone(),
        }
    }

    /// The value of the header `event-type`, if there is one.
    ///
    /// # Errors
    /// [`UnreadableHeader`] when a header's name is not UTF-8.
    pub fn event_type(&self) -> Result<Option<&[u8]>, UnreadableHeader> {
        match &self.headers {
            RecordHeaders::EventTypeOnly(kind) => Ok(Some(kind.event_type().as_bytes())),
            RecordHeaders::Other(headers) => event_type(headers),
        }
    }

    /// The producer's span of a sampled order.
    pub fn trace_parent(&self) -> Option<SpanContext> {
        let RecordHeaders::Other(headers) = &self.headers else { return None };
        let find = || headers.iter().find(|header| header.key == TRACEPARENT_HEADER)?.value;
        let value = read_headers(find).ok().flatten()?;
        decode_traceparent(value).filter(SpanContext::is_sampled)
    }
}

fn event_type(headers: &OwnedHeaders) -> Result<Option<&[u8]>, UnreadableHeader> {
    let find = || headers.iter().find(|header| header.key == EVENT_TYPE_HEADER)?.value;
    read_headers(find)
}

#[cfg(test)]
impl KafkaRecord {
    /// The record of an order, with the one header that orders have.
    pub fn of_order(
        position: RecordPosition,
        timestamp: Option<i64>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Self {
        Self::new(position, timestamp, key, value, RecordHeaders::EventTypeOnly(RecordKind::Order))
    }

    /// The record of a change, with the one header that changes have.
    pub fn of_change(position: RecordPosition, timestamp: Option<i64>, key: &[u8], value: &[u8]) -> Self {
        Self::new(position, timestamp, Some(key), Some(value), RecordHeaders::EventTypeOnly(RecordKind::Change))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_not_an_empty_key_and_no_value_not_an_empty_value() {
        let position = RecordPosition { partition: 0, offset: 0 };
        let parts = [None, Some(&b""[..]), Some(&b"abc"[..])];
        for key in parts {
            for value in parts {
                let record = KafkaRecord::of_order(position, None, key, value);
                assert_eq!((record.key(), record.value()), (key, value));
            }
        }
    }

    #[test]
    fn the_kind_of_a_record_is_that_of_its_event_type_whatever_other_headers_it_has() {
        let kind = |event_type: &str| {
            let header = |key, value| Header { key, value: Some(value) };
            let headers =
                OwnedHeaders::new().insert(header("trace", "1")).insert(header(EVENT_TYPE_HEADER, event_type));
            let position = RecordPosition { partition: 0, offset: 0 };
            KafkaRecord::new(position, None, None, None, RecordHeaders::Other(headers)).kind
        };
        assert_eq!(kind(ORDER_PLACED_V1), RecordKind::Order);
        assert_eq!(kind(ORDER_STATUS_CHANGED_V1), RecordKind::Change);
        assert_eq!(kind("order.status_changed.v2"), RecordKind::Order, "what can't be decoded counts as an order");
        let change = KafkaRecord::of_change(RecordPosition { partition: 0, offset: 0 }, None, b"id", b"{}");
        assert_eq!(change.event_type(), Ok(Some(ORDER_STATUS_CHANGED_V1.as_bytes())));
    }

    #[test]
    fn only_a_sampled_order_has_a_span_of_its_producer() {
        let span = |headers: &[(&str, &str)]| {
            let add = |all: OwnedHeaders, (key, value): &(&str, &str)| all.insert(Header { key, value: Some(*value) });
            let headers = RecordHeaders::Other(headers.iter().fold(OwnedHeaders::new(), add));
            let position = RecordPosition { partition: 0, offset: 0 };
            KafkaRecord::new(position, None, None, None, headers).trace_parent().map(|span| span.span_id().to_string())
        };
        let context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";
        let (sampled, not_sampled) = (format!("{context}-01"), format!("{context}-00"));
        let event_type = (EVENT_TYPE_HEADER, ORDER_PLACED_V1);
        let found = span(&[event_type, (TRACEPARENT_HEADER, sampled.as_str())]);
        assert_eq!(found.as_deref(), Some("b7ad6b7169203331"));
        assert_eq!(span(&[event_type, (TRACEPARENT_HEADER, not_sampled.as_str())]), None);
        assert_eq!(span(&[(TRACEPARENT_HEADER, "00-0-0-01")]), None);
        assert_eq!(span(&[event_type]), None);
    }
}
