//! Decoding a record never panics, for any bytes, and the texts of a decoded event fit the tables.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use shared::{
    lifecycle::MAX_REASON_CHARS,
    wire::{MAX_ID_CHARS, ORDER_PLACED_V1, ORDER_STATUS_CHANGED_V1, ReceivedEvent, decode},
};

#[derive(Arbitrary, Debug)]
struct Bytes<'a> {
    known_type: Option<bool>,
    event_type: Option<&'a [u8]>,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
}

fuzz_target!(|bytes: Bytes<'_>| {
    let event_type = match bytes.known_type {
        Some(true) => Some(ORDER_PLACED_V1.as_bytes()),
        Some(false) => Some(ORDER_STATUS_CHANGED_V1.as_bytes()),
        None => bytes.event_type,
    };
    let Ok(event) = decode(event_type, bytes.key, bytes.value) else { return };
    let (order_id, texts) = match &event {
        ReceivedEvent::Placed(order) => {
            (&order.order_id, vec![order.event.user_id.as_str(), order.event.product_id.as_str()])
        }
        ReceivedEvent::StatusChanged(change) => {
            assert!(change.event.sequence >= 1 && change.event.reason.chars().count() <= MAX_REASON_CHARS);
            (&change.order_id, vec![change.event.reason.as_str()])
        }
    };
    assert!(!order_id.contains('\0') && texts.iter().all(|text| !text.contains('\0')));
    assert!((1..=MAX_ID_CHARS).contains(&order_id.chars().count()));
});
