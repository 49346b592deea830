//! Encodes a change of an order as a Kafka record: key, value and header. The buffers are reused for every change.

use chrono::DateTime;
use rdkafka::message::{Header, OwnedHeaders};
use shared::{
    lifecycle::OrderStatusChanged,
    order_id::{OrderId, RunTag, Sequence},
    wire::{self, EVENT_TYPE_HEADER, ORDER_STATUS_CHANGED_V1},
};

use crate::{
    clock::RunClock,
    lifecycle::{OrderChange, PendingChange, Plans},
};

/// Encodes the changes of a run.
pub struct ChangeEncoder {
    tag: RunTag,
    plans: Plans,
    headers: OwnedHeaders,
    key: [u8; OrderId::TEXT_LEN],
    value: Vec<u8>,
}

impl ChangeEncoder {
    /// `tag` is that of the orders.
    pub fn new(tag: RunTag, plans: Plans) -> Self {
        let header = Header { key: EVENT_TYPE_HEADER, value: Some(ORDER_STATUS_CHANGED_V1) };
        let (key, value) = ([0; OrderId::TEXT_LEN], Vec::with_capacity(256));
        Self { tag, plans, headers: OwnedHeaders::new().insert(header), key, value }
    }

    /// # Panics
    /// When the order has no such change.
    pub fn encode(&mut self, pending: &PendingChange, clock: RunClock) {
        let PendingChange { due, change: OrderChange { order, sequence, placed, .. } } = *pending;
        let number = Sequence::new(order.number).expect("the order was sent, so that it has an id");
        OrderId::new(clock.unix_nanos(order.due), self.tag, number).encode(&mut self.key);
        let planned = self.plans.history(order.number, placed).nth(usize::from(sequence) - 1);
        let planned = planned.expect("a pending change is in the plan of its order");
        let occurred_at = DateTime::from_timestamp_micros((clock.unix_nanos(due) / 1_000) as i64).unwrap_or_default();
        let (status, reason) = (planned.status, planned.reason.to_owned());
        let event = OrderStatusChanged { sequence: sequence.into(), status, reason, occurred_at };
        self.value.clear();
        wire::encode_value(&event, &mut self.value);
    }

    /// The order id.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The event.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    pub fn headers(&self) -> OwnedHeaders {
        self.headers.clone()
    }
}
