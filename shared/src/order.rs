//! The order as it is placed: ids and the order's own figures, nothing that a consumer can look up.

use std::time::{Duration, UNIX_EPOCH};

use chrono::{DateTime, Datelike, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use crate::catalog::{ProductId, UserId};

/// How an order was paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentMethod {
    /// Credit or debit card.
    Card,
    /// A mobile wallet such as KakaoPay or NaverPay.
    EasyPay,
    /// A transfer from the buyer's bank.
    BankTransfer,
    /// A virtual account that was made for this order.
    VirtualAccount,
    /// Charged to the mobile phone bill.
    MobilePhone,
}

impl PaymentMethod {
    /// The name on the wire and in the table, at most 20 characters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::EasyPay => "easy_pay",
            Self::BankTransfer => "bank_transfer",
            Self::VirtualAccount => "virtual_account",
            Self::MobilePhone => "mobile_phone",
        }
    }
}

/// Where an order stands when it is emitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// Paid for.
    Paid,
    /// Waits for its payment.
    PaymentPending,
    /// Cancelled by the buyer at once.
    Cancelled,
}

impl OrderStatus {
    /// The name on the wire and in the table, at most 20 characters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Paid => "paid",
            Self::PaymentPending => "payment_pending",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The value of a record of topic `orders`, event type `order.placed.v1`. The order's id is the record's key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderPlaced {
    /// Who ordered, 1 to 50 characters.
    pub user_id: UserId,
    /// What was ordered, 1 to 50 characters.
    pub product_id: ProductId,
    /// Pieces, at least 1.
    #[schemars(range(min = 1))]
    pub quantity: i32,
    /// Whole won to pay: price × quantity − discount + shipping.
    #[schemars(range(min = 0))]
    pub total_amount: i32,
    /// Whole won of shipping, 0 when it is free.
    #[schemars(range(min = 0))]
    pub shipping_cost: i32,
    /// Whole won taken off price × quantity.
    #[schemars(range(min = 0))]
    pub discount_amount: i32,
    /// How it was paid.
    pub payment_method: PaymentMethod,
    /// Where it stands.
    pub status: OrderStatus,
    /// When the order was due by the producer's schedule, to the microsecond.
    #[serde(serialize_with = "to_the_microsecond")]
    pub created_at: DateTime<Utc>,
}

/// As chrono itself would write it, but several times as fast: each order has one.
fn to_the_microsecond<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    // What the library can't write (before 1970, after 9999) is the other one's.
    let since_1970 = u64::try_from(time.timestamp_micros()).ok().filter(|_| time.year() <= 9999);
    match since_1970 {
        Some(micros) => {
            serializer.collect_str(&humantime::format_rfc3339_micros(UNIX_EPOCH + Duration::from_micros(micros)))
        }
        None => time.serialize(serializer),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    #[derive(Serialize)]
    struct Time(#[serde(serialize_with = "to_the_microsecond")] DateTime<Utc>);

    proptest! {
        #[test]
        fn a_time_is_written_to_the_microsecond_and_read_again(micros in -1_000_000_000_000_000..300_000_000_000_000_000i64) {
            let time = DateTime::UNIX_EPOCH + TimeDelta::microseconds(micros);
            let json = serde_json::to_string(&Time(time)).unwrap();
            prop_assert_eq!(serde_json::from_str::<DateTime<Utc>>(&json).unwrap(), time, "{}", json);
        }
    }
}
