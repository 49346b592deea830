//! The fields of a change that its row has from its record.

use shared::lifecycle::OrderStatusChanged;

/// The fields of a change without its number, as its record and its row have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChangeFields<'a> {
    pub status: &'a str,
    pub reason: &'a str,
    /// Microseconds after the Unix epoch, the precision of the table.
    pub occurred_at: i64,
}

impl<'a> ChangeFields<'a> {
    /// The fields of a record.
    pub fn of_record(event: &'a OrderStatusChanged) -> Self {
        Self { status: event.status.as_str(), reason: &event.reason, occurred_at: event.occurred_at.timestamp_micros() }
    }
}
