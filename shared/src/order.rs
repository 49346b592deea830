//! The order event. It has ids and the order's own figures, and nothing that a consumer can look up by these ids.

use std::time::{Duration, UNIX_EPOCH};

use chrono::{DateTime, Datelike, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use crate::catalog::{ProductId, UserId};

/// How an order is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentMethod {
    /// Credit or debit card.
    Card,
    /// A mobile wallet such as KakaoPay or NaverPay.
    EasyPay,
    /// A transfer from the buyer's bank.
    BankTransfer,
    /// A transfer to a virtual account that exists for this order alone.
    VirtualAccount,
    /// Charged to the mobile phone bill.
    MobilePhone,
}

impl PaymentMethod {
    /// The value in the event and in the table, at most 20 characters.
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

/// Status that an order is placed with. Further ones are in [`crate::lifecycle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlacedStatus {
    /// The payment is complete.
    Paid,
    /// The payment is not complete yet.
    PaymentPending,
    /// The buyer cancelled the order.
    Cancelled,
}

impl PlacedStatus {
    /// The value in the event and in the table, at most 20 characters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Paid => "paid",
            Self::PaymentPending => "payment_pending",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Whole won of shipping below [`FREE_SHIPPING_FROM`].
pub const SHIPPING: i32 = 3_000;
/// Whole won of discounted goods from which shipping is free.
pub const FREE_SHIPPING_FROM: i32 = 50_000;

/// Shipping in whole won of goods that cost `to_pay`, less the discount.
#[inline]
pub fn shipping_cost(to_pay: i32) -> i32 {
    if to_pay >= FREE_SHIPPING_FROM { 0 } else { SHIPPING }
}

/// The value of a record of topic `orders`, event type `order.placed.v1`. The key of the record is the order id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderPlaced {
    /// Id of the user who ordered, 1 to 50 characters.
    pub user_id: UserId,
    /// Id of the product, 1 to 50 characters.
    pub product_id: ProductId,
    /// Number of pieces, at least 1.
    #[schemars(range(min = 1))]
    pub quantity: i32,
    /// Amount to pay in whole won: price × quantity − discount + shipping.
    #[schemars(range(min = 0))]
    pub total_amount: i32,
    /// Shipping in whole won, 0 when it is free.
    #[schemars(range(min = 0))]
    pub shipping_cost: i32,
    /// Discount on price × quantity in whole won.
    #[schemars(range(min = 0))]
    pub discount_amount: i32,
    /// How the order is paid.
    pub payment_method: PaymentMethod,
    /// Status of the order at the time of the event.
    pub status: PlacedStatus,
    /// Due time of the order by the producer's schedule, to the microsecond.
    #[serde(serialize_with = "serialize_micros")]
    pub created_at: DateTime<Utc>,
}

/// Writes the time in RFC 3339, several times as fast as chrono: every order has one.
pub(crate) fn serialize_micros<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    // humantime can't write times before 1970 or after 9999: chrono writes these.
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
    struct Time(#[serde(serialize_with = "serialize_micros")] DateTime<Utc>);

    proptest! {
        #[test]
        fn a_time_is_written_to_the_microsecond_and_read_again(
            micros in -1_000_000_000_000_000..300_000_000_000_000_000i64,
        ) {
            let time = DateTime::UNIX_EPOCH + TimeDelta::microseconds(micros);
            let json = serde_json::to_string(&Time(time)).unwrap();
            prop_assert_eq!(serde_json::from_str::<DateTime<Utc>>(&json).unwrap(), time, "{}", json);
        }
    }
}
