//! Decodes a record into an order, and its due time.

use shared::{
    kafka::UnreadableHeader,
    order_id::{OrderId, RunTag},
    wire::{self, DecodeError, ORDER_STATUS_CHANGED_V1, ReceivedEvent, ReceivedOrder},
};

use crate::model::KafkaRecord;

/// The due time in an order id of orderflow's producer and the Kafka timestamp differ by less than this, since the
/// timestamp is in whole milliseconds. If they differ by more, the id is from another producer.
const MAX_ROUNDING_NANOS: u64 = 2_000_000;

/// Nanoseconds up to this timestamp, in milliseconds after the Unix epoch, fit an `i64`.
const MAX_TIMESTAMP_MILLIS: i64 = i64::MAX / 1_000_000 - 1_000;

/// Decodes the order of a record.
///
/// # Errors
/// [`DecodeError`] when the record is not an order.
pub fn decode(record: &KafkaRecord) -> Result<ReceivedOrder, DecodeError> {
    let event_type = record.event_type().map_err(|UnreadableHeader| DecodeError::UnreadableHeader)?;
    match wire::decode(event_type, record.key(), record.value())? {
        ReceivedEvent::Placed(order) => Ok(order),
        ReceivedEvent::StatusChanged(_) => Err(DecodeError::UnknownType(ORDER_STATUS_CHANGED_V1.to_owned())),
    }
}

/// When an order was due, and its run if orderflow's producer sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Nanoseconds after the Unix epoch.
    pub nanos: u64,
    pub run: Option<RunTag>,
}

/// The due time: that of the id if orderflow's producer sent the order, else the record's timestamp. `None` when the
/// record has no timestamp, or one before 1970 or after 2262, whose latency can't be computed.
pub fn due(record: &KafkaRecord, order_id: &str) -> Option<Due> {
    let millis = record.timestamp.filter(|millis| (0..=MAX_TIMESTAMP_MILLIS).contains(millis))?;
    let stamped = millis as u64 * 1_000_000;
    let own_id = order_id.parse::<OrderId>().ok().filter(|id| id.due_nanos().abs_diff(stamped) < MAX_ROUNDING_NANOS);
    Some(match own_id {
        Some(id) => Due { nanos: id.due_nanos(), run: Some(id.tag()) },
        None => Due { nanos: stamped, run: None },
    })
}

#[cfg(test)]
mod tests {
    use shared::order_id::Sequence;

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
