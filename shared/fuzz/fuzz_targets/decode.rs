//! Decoding a record never panics, for any bytes, and the ids of a decoded order fit the table.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use shared::wire::{MAX_ID_CHARS, ORDER_PLACED_V1, decode};

#[derive(Arbitrary, Debug)]
struct Bytes<'a> {
    is_order_placed: bool,
    event_type: Option<&'a [u8]>,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
}

fuzz_target!(|bytes: Bytes<'_>| {
    let event_type = if bytes.is_order_placed { Some(ORDER_PLACED_V1.as_bytes()) } else { bytes.event_type };
    let Ok(order) = decode(event_type, bytes.key, bytes.value) else { return };
    let ids = [order.order_id.as_str(), order.event.user_id.as_str(), order.event.product_id.as_str()];
    assert!(ids.iter().all(|id| !id.contains('\0')));
    assert!((1..=MAX_ID_CHARS).contains(&order.order_id.chars().count()));
});
