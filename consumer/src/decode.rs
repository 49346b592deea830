//! From a record to an order, and to when it was due.

use rdkafka::{
    Message,
    message::{Headers, OwnedMessage},
};
use shared::{
    order_id::OrderId,
    wire::{self, DecodeError, EVENT_TYPE_HEADER, ReceivedOrder},
};

/// Ids of ours and the Kafka timestamp say the same time, the id more finely; beyond this it is another producer's id.
const SAME_TIME_NANOS: u64 = 2_000_000;

/// Reads a record's order.
///
/// # Errors
/// [`DecodeError`] when it is none.
pub fn decode(record: &OwnedMessage) -> Result<ReceivedOrder, DecodeError> {
    let event_type =
        record.headers().and_then(|headers| headers.iter().find(|header| header.key == EVENT_TYPE_HEADER)?.value);
    wire::decode(event_type, record.key(), record.payload())
}

/// When the order was due, in nanoseconds after the Unix epoch: by its id when it is one of ours, else by the record's
/// timestamp. `None` when neither tells.
pub fn due_nanos(record: &OwnedMessage, order_id: &str) -> Option<u64> {
    let stamped = record
        .timestamp()
        .to_millis()
        .and_then(|millis| u64::try_from(millis).ok())
        .map(|millis| millis * 1_000_000)?;
    let named = order_id.parse::<OrderId>().ok().map(OrderId::due_nanos);
    Some(named.filter(|named| named.abs_diff(stamped) < SAME_TIME_NANOS).unwrap_or(stamped))
}

#[cfg(test)]
mod tests {
    use rdkafka::Timestamp;
    use shared::order_id::{RunTag, Sequence};

    use super::*;

    fn record(timestamp: Timestamp) -> OwnedMessage {
        OwnedMessage::new(None, None, "orders".to_owned(), timestamp, 0, 0, None)
    }

    #[test]
    fn the_id_of_ours_tells_the_due_time_more_finely_than_the_timestamp() {
        let id = OrderId::new(1_700_000_000_123_456_789, RunTag::random(), Sequence::new(5).unwrap());
        let due = due_nanos(&record(Timestamp::CreateTime(1_700_000_000_123)), &id.to_string()).unwrap();
        assert!(due.abs_diff(1_700_000_000_123_456_789) < 1_000);
    }

    #[test]
    fn another_producers_order_is_due_at_its_timestamp() {
        let id = OrderId::new(1_600_000_000_000_000_000, RunTag::random(), Sequence::new(5).unwrap());
        for other in ["order-7", &id.to_string()] {
            assert_eq!(
                due_nanos(&record(Timestamp::CreateTime(1_700_000_000_123)), other),
                Some(1_700_000_000_123_000_000)
            );
        }
        assert_eq!(due_nanos(&record(Timestamp::NotAvailable), "order-7"), None);
    }
}
