//! What a batch has before it is stored.

use shared::wire::ReceivedChange;

use super::latency::PreparationTimes;
use crate::model::{InFlightRecord, OrderRow, RejectReason};

/// Records that are stored together.
pub struct PreparedBatch {
    pub records: Vec<PreparedRecord>,
    pub times: PreparationTimes,
}

/// A decoded record; an order is enriched.
pub struct PreparedRecord {
    pub in_flight: InFlightRecord,
    /// What is stored of the record, or why nothing can be.
    pub event: Result<PreparedEvent, RejectReason>,
}

pub enum PreparedEvent {
    Order(OrderRow),
    Change(ReceivedChange),
}

impl PreparedRecord {
    /// The row of an order.
    pub fn row(&self) -> Option<&OrderRow> {
        match &self.event {
            Ok(PreparedEvent::Order(row)) => Some(row),
            Ok(PreparedEvent::Change(_)) | Err(_) => None,
        }
    }

    pub fn change(&self) -> Option<&ReceivedChange> {
        match &self.event {
            Ok(PreparedEvent::Change(change)) => Some(change),
            Ok(PreparedEvent::Order(_)) | Err(_) => None,
        }
    }
}
