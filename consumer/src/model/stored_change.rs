//! A status of an order's history as the table has it.

use chrono::{DateTime, Utc};
use shared::lifecycle::OrderStatusChanged;
use tokio_postgres::Row;

use super::difference::{Differences, FieldDifference, rounded_as_inserted};

/// A row of table `order_events`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredChange {
    /// Any text, since other programs may write to the table.
    pub status: String,
    pub reason: String,
    /// None for a time that chrono can't represent, such as infinity.
    pub occurred_at: Option<DateTime<Utc>>,
}

impl StoredChange {
    /// The query for the histories of the orders whose ids are in the array `$1`.
    pub const QUERY: &str =
        "SELECT order_id, sequence, status, reason, occurred_at FROM order_events WHERE order_id = ANY($1)";

    /// The change of a row of [`Self::QUERY`], with its order and its sequence.
    ///
    /// # Errors
    /// When a column has another type.
    pub fn of_row(row: &Row) -> Result<(String, i32, Self), tokio_postgres::Error> {
        let change = Self { status: row.try_get(2)?, reason: row.try_get(3)?, occurred_at: row.try_get(4).ok() };
        Ok((row.try_get(0)?, row.try_get(1)?, change))
    }

    /// The fields in which `event`, a change with the same sequence, differs.
    pub fn differences(&self, event: &OrderStatusChanged) -> Vec<FieldDifference> {
        let mut differences = Differences::default();
        differences.compare("status", &self.status, event.status.as_str());
        differences.compare("reason", &self.reason, &event.reason);
        differences.compare_times("occurred_at", self.occurred_at, event.occurred_at);
        differences.0
    }
}

impl From<&OrderStatusChanged> for StoredChange {
    /// The row that an insert of the change writes.
    fn from(event: &OrderStatusChanged) -> Self {
        let occurred_at = rounded_as_inserted(event.occurred_at);
        Self { status: event.status.as_str().to_owned(), reason: event.reason.clone(), occurred_at }
    }
}

#[cfg(test)]
mod tests {
    use shared::lifecycle::OrderStatus;

    use super::*;

    #[test]
    fn a_change_is_compared_in_its_fields_and_its_time_at_the_precision_of_the_table() {
        let stored = StoredChange {
            status: "shipped".to_owned(),
            reason: "handed_over".to_owned(),
            occurred_at: Some("2026-01-31T09:00:00.123456Z".parse().unwrap()),
        };
        let received = OrderStatusChanged {
            sequence: 2,
            status: OrderStatus::Shipped,
            reason: "handed_over".to_owned(),
            occurred_at: "2026-01-31T09:00:00.123456999Z".parse().unwrap(),
        };
        assert_eq!(stored.differences(&received), []);
        let other = OrderStatusChanged { status: OrderStatus::Refunded, reason: String::new(), ..received.clone() };
        let fields: Vec<&str> = stored.differences(&other).iter().map(|difference| difference.field).collect();
        assert_eq!(fields, ["status", "reason"]);
        assert_eq!(StoredChange { occurred_at: None, ..stored }.differences(&received).len(), 1);
    }
}
