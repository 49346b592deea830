//! A record as it came from the topic, copied out of the client library's memory: what the library keeps for each is
//! several times as large, and stays until the last record of its fetch is gone.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rdkafka::{
    Message,
    message::{BorrowedMessage, Header, Headers, OwnedHeaders},
};
use shared::wire::{DecodeError, EVENT_TYPE_HEADER, ORDER_PLACED_V1};

/// What a record costs beside its key and value, decoded and enriched.
const OVERHEAD_BYTES: usize = 256;

/// What a header costs beside its name and value.
const HEADER_BYTES: usize = 64;

/// A record.
#[derive(Debug)]
pub struct Record {
    /// Counted from 0.
    pub partition: i32,
    /// Counted from 0.
    pub offset: i64,
    /// Milliseconds after the Unix epoch.
    pub timestamp: Option<i64>,
    /// The key, then the value.
    bytes: Box<[u8]>,
    key_length: Option<usize>,
    has_value: bool,
    headers: RecordHeaders,
    /// Bytes of memory that it is counted as.
    pub weight: usize,
}

/// Nearly every record has the same one header, which then takes no memory.
#[derive(Debug)]
enum RecordHeaders {
    Usual,
    Other(OwnedHeaders),
}

impl RecordHeaders {
    /// Those whose names can't be read are taken for what a header has at least.
    fn bytes(&self) -> usize {
        let Self::Other(headers) = self else { return 0 };
        let bytes = |at| {
            let header = catch_unwind(AssertUnwindSafe(|| headers.get(at)));
            HEADER_BYTES + header.map_or(0, |header| header.key.len() + header.value.map_or(0, <[u8]>::len))
        };
        (0..headers.count()).map(bytes).sum()
    }
}

impl Record {
    /// Copies `message`.
    pub fn of(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers();
        let first = || {
            let header = headers.filter(|headers| headers.count() == 1)?.get(0);
            (header.key == EVENT_TYPE_HEADER).then_some(header.value)?
        };
        // The client library panics at a header whose name is not UTF-8, which any producer may send.
        let only = catch_unwind(AssertUnwindSafe(first)).unwrap_or_default();
        let headers = match headers {
            Some(_) if only == Some(ORDER_PLACED_V1.as_bytes()) => RecordHeaders::Usual,
            Some(other) => RecordHeaders::Other(other.detach()),
            None => RecordHeaders::Other(OwnedHeaders::new_with_capacity(0)),
        };
        let place = (message.partition(), message.offset());
        Self::new(place, message.timestamp().to_millis(), message.key(), message.payload(), headers)
    }

    fn new(
        (partition, offset): (i32, i64),
        timestamp: Option<i64>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: RecordHeaders,
    ) -> Self {
        let bytes = [key.unwrap_or_default(), value.unwrap_or_default()].concat().into_boxed_slice();
        let weight = OVERHEAD_BYTES + bytes.len() + headers.bytes();
        Self {
            partition,
            offset,
            timestamp,
            bytes,
            key_length: key.map(<[u8]>::len),
            has_value: value.is_some(),
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

    /// All headers.
    pub fn headers(&self) -> OwnedHeaders {
        match &self.headers {
            RecordHeaders::Usual => {
                OwnedHeaders::new().insert(Header { key: EVENT_TYPE_HEADER, value: Some(ORDER_PLACED_V1) })
            }
            RecordHeaders::Other(headers) => headers.clone(),
        }
    }

    /// What the headers say that the value is, if they do.
    ///
    /// # Errors
    /// [`DecodeError::UnreadableHeader`].
    pub fn event_type(&self) -> Result<Option<&[u8]>, DecodeError> {
        let headers = match &self.headers {
            RecordHeaders::Usual => return Ok(Some(ORDER_PLACED_V1.as_bytes())),
            RecordHeaders::Other(headers) => headers,
        };
        let find = || headers.iter().find(|header| header.key == EVENT_TYPE_HEADER)?.value;
        catch_unwind(AssertUnwindSafe(find)).map_err(|_| DecodeError::UnreadableHeader)
    }
}

#[cfg(test)]
impl Record {
    /// An order's record without its headers, for tests.
    pub fn plain(place: (i32, i64), timestamp: Option<i64>, key: Option<&[u8]>, value: Option<&[u8]>) -> Self {
        Self::new(place, timestamp, key, value, RecordHeaders::Usual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_not_an_empty_key_and_no_value_not_an_empty_value() {
        let parts = [None, Some(&b""[..]), Some(&b"abc"[..])];
        for key in parts {
            for value in parts {
                let record = Record::plain((0, 0), None, key, value);
                assert_eq!((record.key(), record.value()), (key, value));
            }
        }
    }
}
