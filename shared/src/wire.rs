//! The form of an order as a Kafka record: key, value and header. A record is checked here once; later code relies on
//! it.

use crate::order::OrderPlaced;

/// Name of the header with the type and version of the event. It is the only header of every order.
pub const EVENT_TYPE_HEADER: &str = "event-type";
/// Value of [`EVENT_TYPE_HEADER`] on an order.
pub const ORDER_PLACED_V1: &str = "order.placed.v1";
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

/// The reason why a record is not an order.
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
    #[error("event type {0:?} is not supported: expected {ORDER_PLACED_V1:?}")]
    UnknownType(String),
    /// The value is missing (a tombstone).
    #[error("the record has no value")]
    MissingValue,
    /// The value is not JSON, or does not match the schema of the event.
    #[error("the value is not an order: {0}")]
    Malformed(#[source] serde_json::Error),
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
            Self::UnreadableHeader | Self::MissingValue | Self::Malformed(_) | Self::IdTooLong | Self::NulCharacter => {
                "malformed"
            }
        }
    }
}

/// Appends the event to `buffer` as JSON.
pub fn encode_value(event: &OrderPlaced, buffer: &mut Vec<u8>) {
    sonic_rs::to_writer(buffer, event)
        .expect("an order has no map with keys that are not strings, and a write to a Vec does not fail");
}

/// Reads an order from a record: the value of [`EVENT_TYPE_HEADER`], key and value. A record without the header counts
/// as an order, since other producers may not set it.
///
/// # Errors
/// [`DecodeError`] when the record is not an order. A retry returns the same error.
pub fn decode(
    event_type: Option<&[u8]>,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) -> Result<ReceivedOrder, DecodeError> {
    if let Some(event_type) = event_type.filter(|t| *t != ORDER_PLACED_V1.as_bytes()) {
        return Err(DecodeError::UnknownType(String::from_utf8_lossy(event_type).into_owned()));
    }
    let key = key.filter(|k| !k.is_empty()).ok_or(DecodeError::MissingId)?;
    let order_id = std::str::from_utf8(key).map_err(|_| DecodeError::InvalidId)?;
    if order_id.contains('\0') || order_id.chars().count() > MAX_ID_CHARS {
        return Err(DecodeError::InvalidId);
    }
    let value = value.ok_or(DecodeError::MissingValue)?;
    let event: OrderPlaced = serde_json::from_slice(value).map_err(DecodeError::Malformed)?;
    let ids = [event.user_id.as_str(), event.product_id.as_str()];
    if ids.iter().any(|id| id.len() > MAX_ID_CHARS && id.chars().count() > MAX_ID_CHARS) {
        return Err(DecodeError::IdTooLong);
    }
    if ids.iter().any(|id| id.contains('\0')) {
        return Err(DecodeError::NulCharacter);
    }
    Ok(ReceivedOrder { order_id: order_id.to_owned(), event })
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;
    use crate::order::{OrderStatus, PaymentMethod};

    fn order() -> OrderPlaced {
        OrderPlaced {
            user_id: "U00000001".into(),
            product_id: "P000001".into(),
            quantity: 2,
            total_amount: 12_500,
            shipping_cost: 3_000,
            discount_amount: 500,
            payment_method: PaymentMethod::EasyPay,
            status: OrderStatus::Paid,
            created_at: DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap(),
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
        assert_eq!(received, ReceivedOrder { order_id: "any-id".into(), event: order() });
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
    fn the_names_of_the_enums_are_those_on_the_wire() {
        let text = String::from_utf8(value()).unwrap();
        assert!(text.contains(&format!("{:?}", PaymentMethod::EasyPay.as_str())), "{text}");
        assert!(text.contains(&format!("{:?}", OrderStatus::Paid.as_str())), "{text}");
    }

    #[test]
    fn the_published_schema_is_that_of_the_code_and_accepts_an_order() {
        let schema = serde_json::to_value(schemars::schema_for!(OrderPlaced)).unwrap();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/order.placed.v1.json");
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(path, serde_json::to_string_pretty(&schema).unwrap() + "\n").unwrap();
        }
        let published: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(published, schema, "run with UPDATE_SCHEMA=1 to publish the change");
        let validator = jsonschema::validator_for(&schema).unwrap();
        assert!(validator.is_valid(&serde_json::from_slice(&value()).unwrap()));
        assert!(!validator.is_valid(&serde_json::json!({"user_id": "", "quantity": 0})));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(t: Option<Vec<u8>>, k: Option<Vec<u8>>, v: Option<Vec<u8>>) {
            let _ = decode(t.as_deref(), k.as_deref(), v.as_deref());
        }
    }
}
