//! Orders that are wrong on purpose, so that it can be seen what a consumer makes of them: each must end as a dead letter.

use std::str::FromStr;

use rand::{Rng, RngExt};
use serde_json::Value;
use shared::{
    order::OrderPlaced,
    wire::{self, ORDER_PLACED_V1},
};

/// An id that no table has: it is not of the form of any.
const NOBODY: &str = "no-such-id";
/// A version that is not there yet.
const NEWER_VERSION: &str = "order.placed.v99";

/// What is wrong with an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Its user is in no table.
    UnknownUser,
    /// Its product is in no table.
    UnknownProduct,
    /// Its JSON ends in the middle.
    BrokenJson,
    /// A number is a text.
    WrongType,
    /// It is of a version that nobody knows.
    NewerVersion,
}

impl Flaw {
    const ALL: [Self; 5] =
        [Self::UnknownUser, Self::UnknownProduct, Self::BrokenJson, Self::WrongType, Self::NewerVersion];

    /// Writes the event with the flaw into the empty `value`.
    pub fn encode(self, mut event: OrderPlaced, value: &mut Vec<u8>) {
        match self {
            Self::UnknownUser => event.user_id = NOBODY.into(),
            Self::UnknownProduct => event.product_id = NOBODY.into(),
            Self::BrokenJson | Self::WrongType | Self::NewerVersion => {}
        }
        wire::encode_value(&event, value);
        match self {
            Self::BrokenJson => value.truncate(value.len() / 2),
            Self::WrongType => {
                let mut json: Value = serde_json::from_slice(value).expect("what was just written is JSON");
                json["quantity"] = "many".into();
                *value = json.to_string().into_bytes();
            }
            Self::UnknownUser | Self::UnknownProduct | Self::NewerVersion => {}
        }
    }

    /// What the record's header says.
    pub fn event_type(flaw: Option<Self>) -> &'static str {
        if flaw == Some(Self::NewerVersion) { NEWER_VERSION } else { ORDER_PLACED_V1 }
    }
}

/// The part of the orders that is wrong on purpose, 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Share(f64);

impl FromStr for Share {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, unit) = text.strip_suffix('%').map_or((text, 1.0), |percent| (percent, 0.01));
        let share = number.trim().parse::<f64>().map(|number| number * unit);
        let valid = share.ok().filter(|share| (0.0..=1.0).contains(share));
        valid.map(Self).ok_or("a share is 0% to 100%, such as 0.1%, or 0 to 1, such as 0.001")
    }
}

impl Share {
    /// The flaw of the next order; most have none.
    pub fn draw(self, random: &mut impl Rng) -> Option<Flaw> {
        // Nothing is drawn where none are asked for, so that the run is the same with and without this.
        (self.0 > 0.0 && random.random_bool(self.0)).then(|| Flaw::ALL[random.random_range(0..Flaw::ALL.len())])
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};
    use shared::order::{OrderStatus, PaymentMethod};

    use super::*;

    fn event() -> OrderPlaced {
        OrderPlaced {
            user_id: "U1".into(),
            product_id: "P1".into(),
            quantity: 1,
            total_amount: 1,
            shipping_cost: 0,
            discount_amount: 0,
            payment_method: PaymentMethod::Card,
            status: OrderStatus::Paid,
            created_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn no_flawed_order_is_one_that_a_consumer_could_store() {
        for flaw in Flaw::ALL {
            let mut value = Vec::new();
            flaw.encode(event(), &mut value);
            let decoded = wire::decode(Some(Flaw::event_type(Some(flaw)).as_bytes()), Some(b"k"), Some(&value));
            let unknown = [Flaw::UnknownUser, Flaw::UnknownProduct].contains(&flaw);
            let names_nobody = decoded
                .as_ref()
                .is_ok_and(|order| order.event.user_id.as_str() == NOBODY || order.event.product_id.as_str() == NOBODY);
            assert_eq!((decoded.is_ok(), names_nobody), (unknown, unknown), "{flaw:?}");
        }
    }

    #[test]
    fn as_many_are_flawed_as_were_asked_for() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut flawed = |share: &str| {
            let share: Share = share.parse().unwrap();
            (0..100_000).filter(|_| share.draw(&mut random).is_some()).count()
        };
        assert_eq!((flawed("0"), flawed("100%")), (0, 100_000));
        assert!((900..1_100).contains(&flawed("1%")) && (900..1_100).contains(&flawed("0.01")));
        for wrong in ["", "%", "-1%", "101%", "1.1", "NaN", "some"] {
            assert!(wrong.parse::<Share>().is_err(), "{wrong}");
        }
    }
}
