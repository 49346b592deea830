//! Decodes a record into an order or a change of one, and its due time.

use shared::{
    kafka::UnreadableHeader,
    order_id::{OrderId, RunTag},
    wire::{self, DecodeError, ReceivedChange, ReceivedEvent},
};

use crate::model::KafkaRecord;

/// The due time in an order id of orderflow's producer and the Kafka timestamp differ by less than this, since the
/// timestamp is in whole milliseconds. If they differ by more, the id is from another producer.
const MAX_ROUNDING_NANOS: u64 = 2_000_000;

/// Nanoseconds up to this timestamp, in milliseconds after the Unix epoch, fit an `i64`.
const MAX_TIMESTAMP_MILLIS: i64 = i64::MAX / 1_000_000 - 1_000;

/// Decodes the event of a record.
///
/// # Errors
/// [`DecodeError`] when the record is no event of an order.
pub fn decode(record: &KafkaRecord) -> Result<ReceivedEvent, DecodeError> {
    let event_type = record.event_type().map_err(|UnreadableHeader| DecodeError::UnreadableHeader)?;
    wire::decode(event_type, record.key(), record.value())
}

/// When an order or a change was due, and its run if orderflow's producer sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Nanoseconds after the Unix epoch.
    pub nanos: u64,
    pub run: Option<RunTag>,
}

/// The due time of an order: that of the id if orderflow's producer sent the order, else the record's timestamp. `None`
/// when the record has no timestamp, or one before 1970 or after 2262, whose latency can't be computed.
pub fn due(record: &KafkaRecord, order_id: &str) -> Option<Due> {
    let stamped = stamped_nanos(record)?;
    let own_id = order_id.parse::<OrderId>().ok().filter(|id| id.due_nanos().abs_diff(stamped) < MAX_ROUNDING_NANOS);
    Some(match own_id {
        Some(id) => Due { nanos: id.due_nanos(), run: Some(id.tag()) },
        None => Due { nanos: stamped, run: None },
    })
}

/// The due time of a change: when it occurred if orderflow's producer sent it, else the record's timestamp. `None` as
/// for an order.
pub fn change_due(record: &KafkaRecord, change: &ReceivedChange) -> Option<Due> {
    let stamped = stamped_nanos(record)?;
    let occurred = change.event.occurred_at.timestamp_nanos_opt().and_then(|nanos| u64::try_from(nanos).ok());
    let occurred = occurred.filter(|occurred| occurred.abs_diff(stamped) < MAX_ROUNDING_NANOS);
    Some(match change.order_id.parse::<OrderId>().ok().zip(occurred) {
        Some((id, nanos)) => Due { nanos, run: Some(id.tag()) },
        None => Due { nanos: stamped, run: None },
    })
}

fn stamped_nanos(record: &KafkaRecord) -> Option<u64> {
    let millis = record.timestamp.filter(|millis| (0..=MAX_TIMESTAMP_MILLIS).contains(millis))?;
    Some(millis as u64 * 1_000_000)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use shared::{
        lifecycle::{OrderStatus, OrderStatusChanged},
        order_id::Sequence,
    };

    use super::*;
    use crate::model::RecordPosition;

    fn record(timestamp: Option<i64>) -> KafkaRecord {
        KafkaRecord::of_order(RecordPosition { partition: 0, offset: 0 }, timestamp, None, None)
    }

    #[test]
    fn an_id_of_orderflows_producer_has_the_due_time_more_precisely_than_the_timestamp() {
        let tag = RunTag::random();
        let id = OrderId::new(1_700_000_000_123_456_789, tag, Sequence::new(5).unwrap());
        let due = due(&record(Some(1_700_000_000_123)), &id.to_string()).unwrap();
        assert!(due.nanos.abs_diff(1_700_000_000_123_456_789) < 1_000);
        assert_eq!(due.run, Some(tag));
    }

    #[test]
    fn a_change_of_orderflows_producer_is_due_when_it_occurred_and_any_other_at_its_timestamp() {
        let tag = RunTag::random();
        let id = OrderId::new(1_700_000_000_123_456_789, tag, Sequence::new(5).unwrap()).to_string();
        let due = |order_id: &str, timestamp, micros| {
            let event = OrderStatusChanged {
                sequence: 1,
                status: OrderStatus::Paid,
                reason: String::new(),
                occurred_at: DateTime::from_timestamp_micros(micros).unwrap(),
            };
            change_due(&record(timestamp), &ReceivedChange { order_id: order_id.to_owned(), event })
        };
        let occurred = 1_700_000_009_876_543;
        let own = Due { nanos: 1_700_000_009_876_543_000, run: Some(tag) };
        assert_eq!(due(&id, Some(1_700_000_009_876), occurred), Some(own));
        let stamped = Due { nanos: 1_700_000_009_876_000_000, run: None };
        assert_eq!(due("order-7", Some(1_700_000_009_876), occurred), Some(stamped));
        assert_eq!(due(&id, Some(1_700_000_009_876), occurred + 3_000), Some(stamped));
        assert_eq!(due(&id, Some(1_700_000_009_876), -1), Some(stamped));
        assert_eq!(due(&id, None, occurred), None);
    }

    #[test]
    fn another_producers_order_is_due_at_its_timestamp() {
        let id = OrderId::new(1_600_000_000_000_000_000, RunTag::random(), Sequence::new(5).unwrap());
        for other in ["order-7", &id.to_string()] {
            let stamped = Due { nanos: 1_700_000_000_123_000_000, run: None };
            assert_eq!(due(&record(Some(1_700_000_000_123)), other), Some(stamped));
        }
        assert_eq!(due(&record(None), "order-7"), None);
    }

    #[test]
    fn a_time_at_the_ends_of_the_range_has_no_latency_and_does_not_overflow() {
        for millis in [i64::MIN, -1, MAX_TIMESTAMP_MILLIS + 1, i64::MAX] {
            assert_eq!(due(&record(Some(millis)), "order-7"), None, "{millis}");
        }
        assert!(due(&record(Some(MAX_TIMESTAMP_MILLIS)), "order-7").unwrap().nanos <= i64::MAX as u64);
        let last_id = "ffffffff-ffff-7fff-bfff-ffffffffffff";
        assert_eq!(due(&record(Some(1_000)), last_id), Some(Due { nanos: 1_000_000_000, run: None }));
    }
}
