use rdkafka::{
    Message,
    message::{BorrowedMessage, Headers},
};
use shared::{dlq_headers, kafka::read_headers};

use crate::model::RecordPosition;

/// Identifies the order of a dead letter: the record's key, or the position of a record without one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OrderKey {
    Key(Vec<u8>),
    /// Topic, partition and offset that the record had.
    Origin(String),
}

impl OrderKey {
    pub fn of_order(id: &str) -> Self {
        Self::Key(id.as_bytes().to_owned())
    }

    /// The order's id, if the key is one that the table can hold.
    pub fn order_id(&self) -> Option<&str> {
        match self {
            Self::Key(key) => std::str::from_utf8(key).ok().filter(|id| !id.contains('\0')),
            Self::Origin(_) => None,
        }
    }
}

/// A record of the dead-letter topic.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    pub position: RecordPosition,
    pub order: OrderKey,
    /// How often the order was replayed.
    pub replays: u32,
    pub key: Option<Vec<u8>>,
    /// Also none when the value was too large for a dead letter.
    pub value: Option<Vec<u8>>,
    /// Milliseconds after the Unix epoch.
    pub timestamp: Option<i64>,
    /// All headers, in their order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl DeadLetter {
    /// Parses a record of the dead-letter topic; none when a header's name is not UTF-8.
    pub fn parse(record: &BorrowedMessage<'_>) -> Option<Self> {
        let headers = || -> Vec<(String, Option<Vec<u8>>)> {
            let headers = record.headers().into_iter().flat_map(Headers::iter);
            headers.map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
        };
        let headers = read_headers(headers).ok()?;
        let key = record.key().filter(|key| !key.is_empty()).map(<[u8]>::to_vec);
        let mut dead_letter = Self {
            position: RecordPosition { partition: record.partition(), offset: record.offset() },
            order: OrderKey::Origin(String::new()),
            replays: 0,
            key: key.clone(),
            value: record.payload().map(<[u8]>::to_vec),
            timestamp: record.timestamp().to_millis(),
            headers,
        };
        dead_letter.replays = dead_letter.header(dlq_headers::REPLAY_COUNT).parse().unwrap_or_default();
        dead_letter.order = match key {
            Some(key) => OrderKey::Key(key),
            None => OrderKey::Origin(dead_letter.origin()),
        };
        Some(dead_letter)
    }

    /// The last header of this name as text; empty when there is none.
    pub fn header(&self, name: &str) -> String {
        let last = self.headers.iter().rev().find(|(key, _)| key == name);
        let value = last.and_then(|(_, value)| value.as_deref()).unwrap_or_default();
        String::from_utf8_lossy(value).into_owned()
    }

    /// The kind of reason that the record was rejected for.
    pub fn kind(&self) -> String {
        self.header(dlq_headers::KIND)
    }

    /// Topic, partition and offset that the record had.
    pub fn origin(&self) -> String {
        format!(
            "{}:{}:{}",
            self.header(dlq_headers::TOPIC),
            self.header(dlq_headers::PARTITION),
            self.header(dlq_headers::OFFSET)
        )
    }

    /// The headers that the record had before it was dead-lettered.
    pub fn original_headers(&self) -> impl Iterator<Item = &(String, Option<Vec<u8>>)> {
        self.headers.iter().filter(|(key, _)| !key.starts_with(dlq_headers::PREFIX) && key != dlq_headers::REPLAY_COUNT)
    }

    pub fn key_text(&self) -> String {
        String::from_utf8_lossy(self.key.as_deref().unwrap_or_default()).into_owned()
    }
}
