//! An order as the table has it, for the comparison with a record that has the same id.

use chrono::{DateTime, Utc};
use shared::order::OrderPlaced;
use tokio_postgres::Row;

use super::difference::{Differences, FieldDifference};

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
    /// The status that the order was placed with.
    pub status: String,
    /// None for a time that chrono can't represent, such as infinity.
    pub created_at: Option<DateTime<Utc>>,
}

impl StoredOrder {
    /// The query for the orders whose ids are in the array `$1`. Once an order was changed, the status that it was
    /// placed with is number 0 of its history. Not a join, whose plan would scan all histories if it was made while the
    /// table was small.
    pub const QUERY: &str = "SELECT order_id, user_id, product_id, quantity, total_amount, shipping_cost, \
        discount_amount, payment_method, COALESCE((SELECT placed.status FROM order_events placed \
        WHERE placed.order_id = orders.order_id AND placed.sequence = 0), status), created_at FROM orders \
        WHERE order_id = ANY($1)";

    /// The order of a row of [`Self::QUERY`], and its id.
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
        let mut differences = Differences::default();
        differences.compare("user_id", &self.user_id, event.user_id.as_str());
        differences.compare("product_id", &self.product_id, event.product_id.as_str());
        differences.compare_numbers("quantity", self.quantity, event.quantity);
        differences.compare_numbers("total_amount", self.total_amount, event.total_amount);
        differences.compare_numbers("shipping_cost", self.shipping_cost, event.shipping_cost);
        differences.compare_numbers("discount_amount", self.discount_amount, event.discount_amount);
        differences.compare("payment_method", &self.payment_method, event.payment_method.as_str());
        differences.compare("status", &self.status, event.status.as_str());
        differences.compare_times("created_at", self.created_at, event.created_at);
        differences.0
    }
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
