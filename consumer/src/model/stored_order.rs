//! An order as the table has it, for the comparison with a record that has the same id.

use std::fmt;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use shared::order::OrderPlaced;
use tokio_postgres::Row;

/// The columns of a stored order that come from its record. The other columns come from users and products, which
/// change.
#[derive(Clone, Debug)]
pub struct StoredOrder {
    pub user_id: String,
    pub product_id: String,
    pub quantity: i32,
    pub total_amount: i32,
    pub shipping_cost: i32,
    pub discount_amount: i32,
    pub payment_method: String,
    pub status: String,
    /// None for a time that chrono can't represent, such as infinity.
    pub created_at: Option<DateTime<Utc>>,
}

/// A field in which a record differs from the stored order with the same id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldDifference {
    pub field: &'static str,
    pub stored: String,
    pub received: String,
}

impl fmt::Display for FieldDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, stored, received } = self;
        write!(f, "{field} (stored {stored:?}, received {received:?})")
    }
}

impl StoredOrder {
    /// The order of a row with the columns `order_id` and then those of this struct, in their order; and its id.
    ///
    /// # Errors
    /// When a column has another type.
    pub fn of_row(row: &Row) -> Result<(String, Self), tokio_postgres::Error> {
        let order = Self {
            user_id: row.try_get(1)?,
            product_id: row.try_get(2)?,
            quantity: row.try_get(3)?,
            total_amount: row.try_get(4)?,
            shipping_cost: row.try_get(5)?,
            discount_amount: row.try_get(6)?,
            payment_method: row.try_get(7)?,
            status: row.try_get(8)?,
            created_at: row.try_get(9).ok(),
        };
        Ok((row.try_get(0)?, order))
    }

    /// The fields in which the order of `event` differs.
    pub fn differences(&self, event: &OrderPlaced) -> Vec<FieldDifference> {
        let mut differences = Vec::new();
        let mut compare = |field, stored: String, received: String| {
            if stored != received {
                differences.push(FieldDifference { field, stored, received });
            }
        };
        compare("user_id", self.user_id.clone(), event.user_id.to_string());
        compare("product_id", self.product_id.clone(), event.product_id.to_string());
        compare("quantity", self.quantity.to_string(), event.quantity.to_string());
        compare("total_amount", self.total_amount.to_string(), event.total_amount.to_string());
        compare("shipping_cost", self.shipping_cost.to_string(), event.shipping_cost.to_string());
        compare("discount_amount", self.discount_amount.to_string(), event.discount_amount.to_string());
        compare("payment_method", self.payment_method.clone(), event.payment_method.as_str().to_owned());
        compare("status", self.status.clone(), event.status.as_str().to_owned());
        let received = rounded_as_inserted(event.created_at);
        if self.created_at != received {
            compare("created_at", time_text(self.created_at), time_text(received));
        }
        differences
    }
}

fn time_text(time: Option<DateTime<Utc>>) -> String {
    time.map_or_else(|| "out of range".to_owned(), |time| time.to_rfc3339_opts(SecondsFormat::Micros, true))
}

/// The time as an insert writes it: whole microseconds, counted from 2000-01-01 and rounded towards it, as Diesel does.
fn rounded_as_inserted(time: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let epoch = DateTime::from_timestamp(946_684_800, 0)?;
    epoch.checked_add_signed(TimeDelta::microseconds((time - epoch).num_microseconds()?))
}

#[cfg(test)]
mod tests {
    use shared::order::{PaymentMethod, PlacedStatus};

    use super::*;

    fn event(created_at: &str) -> OrderPlaced {
        OrderPlaced {
            user_id: "U00000001".into(),
            product_id: "P000001".into(),
            quantity: 1,
            total_amount: 1_000,
            shipping_cost: 0,
            discount_amount: 0,
            payment_method: PaymentMethod::Card,
            status: PlacedStatus::Paid,
            created_at: created_at.parse().unwrap(),
        }
    }

    fn stored(created_at: &str) -> StoredOrder {
        StoredOrder {
            user_id: "U00000001".to_owned(),
            product_id: "P000001".to_owned(),
            quantity: 1,
            total_amount: 1_000,
            shipping_cost: 0,
            discount_amount: 0,
            payment_method: "card".to_owned(),
            status: "paid".to_owned(),
            created_at: Some(created_at.parse().unwrap()),
        }
    }

    #[test]
    fn each_field_that_differs_is_named_with_both_values() {
        let time = "2026-01-31T09:00:00.123456Z";
        assert_eq!(stored(time).differences(&event(time)), []);
        let other = StoredOrder { total_amount: 999, status: "cancelled".to_owned(), ..stored(time) };
        let differences = other.differences(&event("2026-01-31T09:00:00.123457Z"));
        let texts: Vec<String> = differences.iter().map(FieldDifference::to_string).collect();
        assert_eq!(
            texts,
            [
                "total_amount (stored \"999\", received \"1000\")",
                "status (stored \"cancelled\", received \"paid\")",
                "created_at (stored \"2026-01-31T09:00:00.123456Z\", received \"2026-01-31T09:00:00.123457Z\")",
            ]
        );
        assert_eq!(StoredOrder { created_at: None, ..stored(time) }.differences(&event(time)).len(), 1);
    }

    #[test]
    fn times_are_compared_at_the_precision_of_the_table() {
        for (written, received) in [
            ("2026-01-31T09:00:00.123456Z", "2026-01-31T09:00:00.123456999Z"),
            ("1969-12-31T23:59:59.123457Z", "1969-12-31T23:59:59.123456001Z"),
        ] {
            assert_eq!(stored(written).differences(&event(received)), [], "{received}");
        }
    }
}
