//! Orders that are invalid on purpose, to test the consumer: each must become a dead letter.

use std::str::FromStr;

use rand::{Rng, RngExt};
use serde_json::Value;
use shared::{
    order::OrderPlaced,
    wire::{self, ORDER_PLACED_V1},
};

use crate::share::parse_share;

/// An id that is in no table: no generated id has this form.
const UNKNOWN_ID: &str = "no-such-id";
/// A version that does not exist yet.
const NEWER_VERSION: &str = "order.placed.v99";

/// Why an order is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corruption {
    /// The user is in no table.
    UnknownUser,
    /// The product is in no table.
    UnknownProduct,
    /// The JSON is truncated.
    BrokenJson,
    /// The quantity is a string.
    WrongType,
    /// The event type has a version that no consumer supports.
    NewerVersion,
}

impl Corruption {
    const ALL: [Self; 5] =
        [Self::UnknownUser, Self::UnknownProduct, Self::BrokenJson, Self::WrongType, Self::NewerVersion];

    /// Writes the corrupted event into the empty `value`.
    pub fn encode(self, mut event: OrderPlaced, value: &mut Vec<u8>) {
        match self {
            Self::UnknownUser => event.user_id = UNKNOWN_ID.into(),
            Self::UnknownProduct => event.product_id = UNKNOWN_ID.into(),
            Self::BrokenJson | Self::WrongType | Self::NewerVersion => {}
        }
        wire::encode_value(&event, value);
        match self {
            Self::BrokenJson => value.truncate(value.len() / 2),
            Self::WrongType => {
                let mut json: Value = serde_json::from_slice(value).expect("encode_value writes JSON");
                json["quantity"] = "many".into();
                *value = json.to_string().into_bytes();
            }
            Self::UnknownUser | Self::UnknownProduct | Self::NewerVersion => {}
        }
    }

    /// The value of the event type header.
    pub fn event_type(corruption: Option<Self>) -> &'static str {
        if corruption == Some(Self::NewerVersion) { NEWER_VERSION } else { ORDER_PLACED_V1 }
    }
}

/// The share of invalid orders, 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct InvalidShare(f64);

impl FromStr for InvalidShare {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_share(text).map(Self)
    }
}

impl InvalidShare {
    /// Whether no order is invalid.
    pub fn is_none(self) -> bool {
        self.0 == 0.0
    }

    /// Draws whether the next order is invalid, and why.
    pub fn draw(self, random: &mut impl Rng) -> Option<Corruption> {
        // At 0 % no random number is drawn.
        (self.0 > 0.0 && random.random_bool(self.0))
            .then(|| Corruption::ALL[random.random_range(0..Corruption::ALL.len())])
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use shared::order::{PaymentMethod, PlacedStatus};

    use super::*;
    use crate::random::{Purpose, run_random};

    fn event() -> OrderPlaced {
        OrderPlaced {
            user_id: "U1".into(),
            product_id: "P1".into(),
            quantity: 1,
            total_amount: 1,
            shipping_cost: 0,
            discount_amount: 0,
            payment_method: PaymentMethod::Card,
            status: PlacedStatus::Paid,
            created_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn no_corrupted_order_can_be_stored_by_a_consumer() {
        for corruption in Corruption::ALL {
            let mut value = Vec::new();
            corruption.encode(event(), &mut value);
            let is_order = Corruption::event_type(Some(corruption)) == ORDER_PLACED_V1;
            let decoded = is_order.then(|| wire::decode_order(Some(b"k"), Some(&value)).ok()).flatten();
            let unknown = [Corruption::UnknownUser, Corruption::UnknownProduct].contains(&corruption);
            let has_unknown_id = decoded.as_ref().is_some_and(|order| {
                order.event.user_id.as_str() == UNKNOWN_ID || order.event.product_id.as_str() == UNKNOWN_ID
            });
            assert_eq!((decoded.is_some(), has_unknown_id), (unknown, unknown), "{corruption:?}");
        }
    }

    #[test]
    fn the_share_of_corrupted_orders_is_the_configured_one() {
        let mut random = run_random(1, Purpose::Orders);
        let mut corrupted = |share: &str| {
            let share: InvalidShare = share.parse().unwrap();
            (0..100_000).filter(|_| share.draw(&mut random).is_some()).count()
        };
        assert_eq!((corrupted("0"), corrupted("100%")), (0, 100_000));
        assert!((900..1_100).contains(&corrupted("1%")) && (900..1_100).contains(&corrupted("0.01")));
        for wrong in ["", "%", "-1%", "101%", "1.1", "NaN", "some"] {
            assert!(wrong.parse::<InvalidShare>().is_err(), "{wrong}");
        }
    }
}
