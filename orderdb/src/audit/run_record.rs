//! Which records of a topic are of a run, and of which event.

use rdkafka::{
    Message,
    message::{BorrowedMessage, Headers},
};
use shared::{
    kafka::read_headers,
    order_id::{OrderId, RunTag},
    wire::{EVENT_TYPE_HEADER, ORDER_STATUS_CHANGED_V1},
};

/// The event of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A new order, also in a record without the header.
    Placed,
    /// A change of its status.
    StatusChanged,
}

/// The order of a record and its event, if it is one of a run whose orders have one of `tags`.
pub fn run_record(record: &BorrowedMessage<'_>, tags: &[RunTag]) -> Option<(OrderId, Event)> {
    let id: OrderId = std::str::from_utf8(record.key()?).ok()?.parse().ok()?;
    tags.contains(&id.tag()).then(|| (id, event(record)))
}

/// A record that a consumer can't read counts as an order: its header is part of what is wrong with it.
fn event(record: &BorrowedMessage<'_>) -> Event {
    let has_changed = || {
        let mut headers = record.headers().into_iter().flat_map(Headers::iter);
        let event_type = headers.find(|header| header.key == EVENT_TYPE_HEADER)?.value?;
        Some(event_type == ORDER_STATUS_CHANGED_V1.as_bytes())
    };
    match read_headers(has_changed) {
        Ok(Some(true)) => Event::StatusChanged,
        _ => Event::Placed,
    }
}
