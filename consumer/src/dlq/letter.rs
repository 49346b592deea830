use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    str::FromStr,
};

use rdkafka::{
    Message,
    message::{BorrowedMessage, Headers},
};
use serde::{Serialize, Serializer};

/// What the headers that describe a dead letter begin with.
const DESCRIBES: &str = "dlq-";
/// How often an order was put back on its topic.
pub const REPLAY_COUNT: &str = "replay-count";

/// Where a letter is in the dead-letter topic: `PARTITION:OFFSET`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Counted from 0.
    pub partition: i32,
    /// Counted from 0.
    pub offset: i64,
}

impl FromStr for Place {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const HOW: &str = "a letter is PARTITION:OFFSET, such as 3:42, as `dlq list` tells it";
        let (partition, offset) = text.split_once(':').ok_or(HOW)?;
        let (partition, offset) = (partition.parse().map_err(|_| HOW)?, offset.parse().map_err(|_| HOW)?);
        if partition >= 0 && offset >= 0 { Ok(Self { partition, offset }) } else { Err(HOW) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.partition, self.offset)
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Which order a letter is of: its key, or where the record without one was.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// The record's key.
    Key(Vec<u8>),
    /// Topic, partition and offset of a record that has none.
    Origin(String),
}

impl Identity {
    /// The order with this id.
    pub fn of_order(id: &str) -> Self {
        Self::Key(id.as_bytes().to_owned())
    }

    /// The order's id, where the key is one that a table may have.
    pub fn order_id(&self) -> Option<&str> {
        match self {
            Self::Key(key) => std::str::from_utf8(key).ok().filter(|id| !id.contains('\0')),
            Self::Origin(_) => None,
        }
    }
}

/// A dead letter.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Where it is.
    pub place: Place,
    /// Which order it is of.
    pub identity: Identity,
    /// How often the order was put back.
    pub replays: u32,
    /// The record's key.
    pub key: Option<Vec<u8>>,
    /// The record's value; none as well where it was too large for a letter.
    pub value: Option<Vec<u8>>,
    /// Milliseconds after the Unix epoch.
    pub timestamp: Option<i64>,
    /// All headers, in their order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Letter {
    /// Reads a record of the dead-letter topic; none when a header's name is not text, at which the client library panics.
    pub fn read(record: &BorrowedMessage<'_>) -> Option<Self> {
        let headers = || -> Vec<(String, Option<Vec<u8>>)> {
            let headers = record.headers().into_iter().flat_map(Headers::iter);
            headers.map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
        };
        let headers = catch_unwind(AssertUnwindSafe(headers)).ok()?;
        let key = record.key().filter(|key| !key.is_empty()).map(<[u8]>::to_vec);
        let mut letter = Self {
            place: Place { partition: record.partition(), offset: record.offset() },
            identity: Identity::Origin(String::new()),
            replays: 0,
            key: key.clone(),
            value: record.payload().map(<[u8]>::to_vec),
            timestamp: record.timestamp().to_millis(),
            headers,
        };
        letter.replays = letter.header(REPLAY_COUNT).parse().unwrap_or_default();
        letter.identity = match key {
            Some(key) => Identity::Key(key),
            None => Identity::Origin(letter.origin()),
        };
        Some(letter)
    }

    /// The last header of this name, as text; empty when there is none.
    pub fn header(&self, name: &str) -> String {
        let last = self.headers.iter().rev().find(|(key, _)| key == name);
        let value = last.and_then(|(_, value)| value.as_deref()).unwrap_or_default();
        String::from_utf8_lossy(value).into_owned()
    }

    /// Why the order could not become a row.
    pub fn kind(&self) -> String {
        self.header("dlq-kind")
    }

    /// Topic, partition and offset that the record had.
    pub fn origin(&self) -> String {
        format!("{}:{}:{}", self.header("dlq-topic"), self.header("dlq-partition"), self.header("dlq-offset"))
    }

    /// The headers that the record had before it became a letter.
    pub fn own_headers(&self) -> impl Iterator<Item = &(String, Option<Vec<u8>>)> {
        self.headers.iter().filter(|(key, _)| !key.starts_with(DESCRIBES) && key != REPLAY_COUNT)
    }

    /// The key as text.
    pub fn key_text(&self) -> String {
        String::from_utf8_lossy(self.key.as_deref().unwrap_or_default()).into_owned()
    }
}
