//! The form of the events of an order as Kafka records: key, value and header. A record is checked here once; later code
//! relies on it.

use serde::Serialize;

use crate::{
    lifecycle::{MAX_REASON_CHARS, OrderStatusChanged},
    order::OrderPlaced,
};

/// Name of the header with the type and version of the event. It is the only header of every event.
pub const EVENT_TYPE_HEADER: &str = "event-type";
/// Value of [`EVENT_TYPE_HEADER`] on an order.
pub const ORDER_PLACED_V1: &str = "order.placed.v1";
/// Value of [`EVENT_TYPE_HEADER`] on a change of an order's status.
pub const ORDER_STATUS_CHANGED_V1: &str = "order.status_changed.v1";
/// Maximum length of an order id in characters, as the table has it.
pub const MAX_ID_CHARS: usize = 50;

/// An order that was read from a record.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceivedOrder {
    /// Order id of any producer: 1 to [`MAX_ID_CHARS`] characters, without NUL.
    pub order_id: String,
    /// The event. Its ids have at most [`MAX_ID_CHARS`] characters, without NUL.
    pub event: OrderPlaced,
}

/// A change of an order's status that was read from a record.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceivedChange {
    /// Order id of any producer: 1 to [`MAX_ID_CHARS`] characters, without NUL.
    pub order_id: String,
    /// The event. Its sequence is at least 1, its reason has at most [`MAX_REASON_CHARS`] characters, without NUL.
    pub event: OrderStatusChanged,
}

/// An event that was read from a record.
#[derive(Clone, Debug, PartialEq)]
pub enum ReceivedEvent {
    /// A new order.
    Placed(ReceivedOrder),
    /// A change of its status.
    StatusChanged(ReceivedChange),
}

/// The reason why a record is not an event of an order.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The key is missing or empty.
    #[error("the record has no key: the key of an order is its id")]
    MissingId,
    /// The name of a header is not UTF-8.
    #[error("the name of a header is not UTF-8")]
    UnreadableHeader,
    /// The key is not UTF-8, is too long or has a NUL character.
    #[error("the key is not an order id: it must be UTF-8, at most {MAX_ID_CHARS} characters, without NUL")]
    InvalidId,
    /// The header has another event type, or another version of this one.
    #[error("event type {0:?} is not supported: expected {ORDER_PLACED_V1:?} or {ORDER_STATUS_CHANGED_V1:?}")]
    UnknownType(String),
    /// The value is missing (a tombstone).
    #[error("the record has no value")]
    MissingValue,
    /// The value is not JSON, or does not match the schema of an order.
    #[error("the value is not an order: {0}")]
    Malformed(#[source] serde_json::Error),
    /// The value is not JSON, or does not match the schema of a change.
    #[error("the value is not a change of an order's status: {0}")]
    MalformedChange(#[source] serde_json::Error),
    /// The sequence of a change is not positive.
    #[error("the sequence of the change is {0}: the first change of an order is number 1")]
    InvalidSequence(i32),
    /// The reason of a change is too long or has a NUL character.
    #[error("the reason of the change has more than {MAX_REASON_CHARS} characters, or a NUL character")]
    InvalidReason,
    /// The user id or product id has more than [`MAX_ID_CHARS`] characters.
    #[error("the user id or product id has more than {MAX_ID_CHARS} characters")]
    IdTooLong,
    /// The user id or product id has a NUL character, which PostgreSQL can't store.
    #[error("the user id or product id has a NUL character")]
    NulCharacter,
}

impl DecodeError {
    /// All values of [`Self::kind`].
    pub const KINDS: [&'static str; 3] = ["invalid_id", "unknown_type", "malformed"];

    /// Value of [`crate::dlq_headers::KIND`] for this error.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::MissingId | Self::InvalidId => "invalid_id",
            Self::UnknownType(_) => "unknown_type",
            Self::UnreadableHeader
            | Self::MissingValue
            | Self::Malformed(_)
            | Self::MalformedChange(_)
            | Self::InvalidSequence(_)
            | Self::InvalidReason
            | Self::IdTooLong
            | Self::NulCharacter => "malformed",
        }
    }
}

/// Appends the event, an [`OrderPlaced`] or [`OrderStatusChanged`], to `buffer` as JSON.
pub fn encode_value(event: &impl Serialize, buffer: &mut Vec<u8>) {
    sonic_rs::to_writer(buffer, event)
        .expect("an event has no map with keys that are not strings, and a write to a Vec does not fail");
}

/// Reads an event from a record: the value of [`EVENT_TYPE_HEADER`], key and value. A record without the header counts
/// as an order, since other producers may not set it.
///
/// # Errors
/// [`DecodeError`] when the record is no event of an order. A retry returns the same error.
pub fn decode(
    event_type: Option<&[u8]>,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) -> Result<ReceivedEvent, DecodeError> {
    match event_type {
        None => decode_order(key, value).map(ReceivedEvent::Placed),
        Some(name) if name == ORDER_PLACED_V1.as_bytes() => decode_order(key, value).map(ReceivedEvent::Placed),
        Some(name) if name == ORDER_STATUS_CHANGED_V1.as_bytes() => {
            decode_change(key, value).map(ReceivedEvent::StatusChanged)
        }
        Some(other) => Err(DecodeError::UnknownType(String::from_utf8_lossy(other).into_owned())),
    }
}

/// Reads an order from the key and value of a record.
///
/// # Errors
/// As [`decode`].
pub fn decode_order(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<ReceivedOrder, DecodeError> {
    let order_id = decode_id(key)?;
    let event: OrderPlaced =
        serde_json::from_slice(value.ok_or(DecodeError::MissingValue)?).map_err(DecodeError::Malformed)?;
    let ids = [event.user_id.as_str(), event.product_id.as_str()];
    if ids.iter().any(|id| is_longer(id, MAX_ID_CHARS)) {
        return Err(DecodeError::IdTooLong);
    }
    if ids.iter().any(|id| id.contains('\0')) {
        return Err(DecodeError::NulCharacter);
    }
    Ok(ReceivedOrder { order_id, event })
}

/// Reads a change of an order's status from the key and value of a record.
///
/// # Errors
/// As [`decode`].
pub fn decode_change(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<ReceivedChange, DecodeError> {
    let order_id = decode_id(key)?;
    let event: OrderStatusChanged =
        serde_json::from_slice(value.ok_or(DecodeError::MissingValue)?).map_err(DecodeError::MalformedChange)?;
    if event.sequence < 1 {
        return Err(DecodeError::InvalidSequence(event.sequence));
    }
    if is_longer(&event.reason, MAX_REASON_CHARS) || event.reason.contains('\0') {
        return Err(DecodeError::InvalidReason);
    }
    Ok(ReceivedChange { order_id, event })
}

fn decode_id(key: Option<&[u8]>) -> Result<String, DecodeError> {
    let key = key.filter(|k| !k.is_empty()).ok_or(DecodeError::MissingId)?;
    let order_id = std::str::from_utf8(key).map_err(|_| DecodeError::InvalidId)?;
    if order_id.contains('\0') || is_longer(order_id, MAX_ID_CHARS) {
        return Err(DecodeError::InvalidId);
    }
    Ok(order_id.to_owned())
}

fn is_longer(text: &str, max_chars: usize) -> bool {
    // Bytes first: counting characters takes longer, and few texts have more bytes.
    text.len() > max_chars && text.chars().count() > max_chars
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        lifecycle::OrderStatus,
        order::{PaymentMethod, PlacedStatus},
    };

    fn order() -> OrderPlaced {
        OrderPlaced {
            user_id: "U00000001".into(),
            product_id: "P000001".into(),
            quantity: 2,
            total_amount: 12_500,
            shipping_cost: 3_000,
            discount_amount: 500,
            payment_method: PaymentMethod::EasyPay,
            status: PlacedStatus::Paid,
            created_at: DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap(),
        }
    }

    fn change() -> OrderStatusChanged {
        OrderStatusChanged {
            sequence: 2,
            status: OrderStatus::Shipped,
            reason: "handed to the courier".into(),
            occurred_at: DateTime::from_timestamp_micros(1_700_000_000_654_321).unwrap(),
        }
    }

    fn value() -> Vec<u8> {
        let mut buffer = Vec::new();
        encode_value(&order(), &mut buffer);
        buffer
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let received = decode(Some(ORDER_PLACED_V1.as_bytes()), Some(b"any-id"), Some(&value())).unwrap();
        assert_eq!(received, ReceivedEvent::Placed(ReceivedOrder { order_id: "any-id".into(), event: order() }));
        let mut buffer = Vec::new();
        encode_value(&change(), &mut buffer);
        let received = decode(Some(ORDER_STATUS_CHANGED_V1.as_bytes()), Some(b"any-id"), Some(&buffer)).unwrap();
        let change = ReceivedChange { order_id: "any-id".into(), event: change() };
        assert_eq!(received, ReceivedEvent::StatusChanged(change));
    }

    #[test]
    fn an_order_without_the_header_is_accepted() {
        assert!(decode(None, Some(b"any-id"), Some(&value())).is_ok());
    }

    #[test]
    fn each_decode_error_has_its_kind() {
        let kind = |t: Option<&[u8]>, k: Option<&[u8]>, v: Option<&[u8]>| decode(t, k, v).unwrap_err().kind();
        let good = value();
        assert_eq!(kind(Some(b"order.placed.v2"), Some(b"a"), Some(&good)), "unknown_type");
        assert_eq!(kind(None, None, Some(&good)), "invalid_id");
        assert_eq!(kind(None, Some(b"\xff"), Some(&good)), "invalid_id");
        assert_eq!(kind(None, Some(b"a\0b"), Some(&good)), "invalid_id");
        assert_eq!(kind(None, Some("가".repeat(51).as_bytes()), Some(&good)), "invalid_id");
        assert_eq!(kind(None, Some(b"a"), None), "malformed");
        assert_eq!(kind(None, Some(b"a"), Some(b"{}")), "malformed");
        let nul = String::from_utf8(good.clone()).unwrap().replace("P000001", "P\\u0000");
        assert_eq!(kind(None, Some(b"a"), Some(nul.as_bytes())), "malformed");
        let with_id = |id: &str| String::from_utf8(good.clone()).unwrap().replace("P000001", id);
        assert_eq!(kind(None, Some(b"a"), Some(with_id(&"가".repeat(51)).as_bytes())), "malformed");
        assert!(decode(None, Some(b"a"), Some(with_id(&"가".repeat(50)).as_bytes())).is_ok());
        assert!(decode(None, Some("가".repeat(50).as_bytes()), Some(&good)).is_ok());
    }

    #[test]
    fn a_change_that_no_history_can_have_is_refused() {
        let decoded = |change: &OrderStatusChanged| {
            let mut value = Vec::new();
            encode_value(change, &mut value);
            decode_change(Some(b"a"), Some(&value))
        };
        assert!(matches!(
            decoded(&OrderStatusChanged { sequence: 0, ..change() }),
            Err(DecodeError::InvalidSequence(0))
        ));
        for reason in ["가".repeat(101), "a\0b".to_owned()] {
            assert!(matches!(decoded(&OrderStatusChanged { reason, ..change() }), Err(DecodeError::InvalidReason)));
        }
        assert!(decoded(&OrderStatusChanged { reason: "가".repeat(100), ..change() }).is_ok());
        let unknown = br#"{"sequence": 1, "status": "lost", "occurred_at": "2026-01-31T09:00:00Z"}"#;
        assert!(decode_change(Some(b"a"), Some(unknown)).unwrap_err().to_string().contains("unknown variant `lost`"));
        let without_reason = br#"{"sequence": 1, "status": "paid", "occurred_at": "2026-01-31T09:00:00Z"}"#;
        assert_eq!(decode_change(Some(b"a"), Some(without_reason)).unwrap().event.reason, "");
    }

    #[test]
    fn the_names_of_the_enums_are_those_on_the_wire() {
        let text = String::from_utf8(value()).unwrap();
        assert!(text.contains(&format!("{:?}", PaymentMethod::EasyPay.as_str())), "{text}");
        assert!(text.contains(&format!("{:?}", PlacedStatus::Paid.as_str())), "{text}");
    }

    /// The schema of the code, after a comparison with the published one.
    fn schema<Event: schemars::JsonSchema>(file: &str) -> serde_json::Value {
        let schema = serde_json::to_value(schemars::schema_for!(Event)).unwrap();
        let path = format!("{}/schema/{file}", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(&path, serde_json::to_string_pretty(&schema).unwrap() + "\n").unwrap();
        }
        let published: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(published, schema, "run with UPDATE_SCHEMA=1 to publish the change");
        schema
    }

    #[test]
    fn the_published_schemas_are_those_of_the_code_and_accept_its_events() {
        let validator = jsonschema::validator_for(&schema::<OrderPlaced>("order.placed.v1.json")).unwrap();
        assert!(validator.is_valid(&serde_json::from_slice(&value()).unwrap()));
        assert!(!validator.is_valid(&serde_json::json!({"user_id": "", "quantity": 0})));
        let validator = jsonschema::validator_for(&schema::<OrderStatusChanged>("order.status_changed.v1.json"));
        let validator = validator.unwrap();
        assert!(validator.is_valid(&serde_json::to_value(change()).unwrap()));
        assert!(!validator.is_valid(&serde_json::to_value(OrderStatusChanged { sequence: 0, ..change() }).unwrap()));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(t: Option<Vec<u8>>, k: Option<Vec<u8>>, v: Option<Vec<u8>>) {
            let _ = decode(t.as_deref(), k.as_deref(), v.as_deref());
        }
    }
}
