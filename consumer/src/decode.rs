//! From a record to an order, and to when it was due.

use shared::{
    order_id::{OrderId, RunTag},
    wire::{self, DecodeError, ReceivedOrder},
};

use crate::record::Record;

/// Ids of ours and the Kafka timestamp say the same time, the id more finely; beyond this it is another producer's id.
const SAME_TIME_NANOS: u64 = 2_000_000;

/// Reads a record's order.
///
/// # Errors
/// [`DecodeError`] when it is none.
pub fn decode(record: &Record) -> Result<ReceivedOrder, DecodeError> {
    wire::decode(record.event_type()?, record.key(), record.value())
}

/// When an order was due, and the run that it belongs to when it is one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Nanoseconds after the Unix epoch.
    pub nanos: u64,
    /// The run.
    pub run: Option<RunTag>,
}

/// When the order was due: by its id when it is one of ours, else by the record's timestamp. `None` when neither tells.
pub fn due(record: &Record, order_id: &str) -> Option<Due> {
    let stamped = record.timestamp.and_then(|millis| u64::try_from(millis).ok())? * 1_000_000;
    let ours = order_id.parse::<OrderId>().ok().filter(|id| id.due_nanos().abs_diff(stamped) < SAME_TIME_NANOS);
    Some(match ours {
        Some(id) => Due { nanos: id.due_nanos(), run: Some(id.tag()) },
        None => Due { nanos: stamped, run: None },
    })
}

#[cfg(test)]
mod tests {
    use shared::order_id::Sequence;

    use super::*;

    fn record(timestamp: Option<i64>) -> Record {
        Record::plain((0, 0), timestamp, None, None)
    }

    #[test]
    fn the_id_of_ours_tells_the_due_time_more_finely_than_the_timestamp() {
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
}
