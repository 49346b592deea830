//! The statuses of an order, and the transitions between them.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::order::PlacedStatus;

/// The most changes of one order: the longest path through the transitions.
pub const MAX_CHANGES: u8 = 5;

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// The payment is not complete yet.
    PaymentPending,
    /// The payment was refused.
    PaymentFailed,
    /// The payment is complete.
    Paid,
    /// The goods are being packed.
    Processing,
    /// The goods are on their way.
    Shipped,
    /// The buyer has the goods.
    Delivered,
    /// The order was cancelled before it was shipped.
    Cancelled,
    /// The buyer got the payment back.
    Refunded,
}

impl OrderStatus {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::PaymentPending,
        Self::PaymentFailed,
        Self::Paid,
        Self::Processing,
        Self::Shipped,
        Self::Delivered,
        Self::Cancelled,
        Self::Refunded,
    ];

    /// The statuses that may follow; none for the end of an order. The transitions have no circle, so that a history
    /// has at most [`MAX_CHANGES`] changes.
    pub fn next(self) -> &'static [Self] {
        match self {
            Self::PaymentPending => &[Self::Paid, Self::PaymentFailed, Self::Cancelled],
            Self::PaymentFailed => &[Self::Cancelled],
            Self::Paid => &[Self::Processing, Self::Cancelled, Self::Refunded],
            Self::Processing => &[Self::Shipped, Self::Cancelled, Self::Refunded],
            Self::Shipped => &[Self::Delivered, Self::Refunded],
            Self::Delivered => &[Self::Refunded],
            Self::Cancelled | Self::Refunded => &[],
        }
    }

    /// Whether an order of this status may have status `later` after exactly this number of changes.
    pub fn leads_to(self, later: Self, changes: u32) -> bool {
        match changes {
            0 => self == later,
            // No path is longer; without this, a large number would be counted down.
            _ if changes > u32::from(MAX_CHANGES) => false,
            _ => self.next().iter().any(|next| next.leads_to(later, changes - 1)),
        }
    }

    /// The value in the event and in the table, at most 20 characters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PaymentPending => "payment_pending",
            Self::PaymentFailed => "payment_failed",
            Self::Paid => "paid",
            Self::Processing => "processing",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
            Self::Cancelled => "cancelled",
            Self::Refunded => "refunded",
        }
    }
}

impl fmt::Display for OrderStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl From<PlacedStatus> for OrderStatus {
    fn from(placed: PlacedStatus) -> Self {
        match placed {
            PlacedStatus::Paid => Self::Paid,
            PlacedStatus::PaymentPending => Self::PaymentPending,
            PlacedStatus::Cancelled => Self::Cancelled,
        }
    }
}

/// The text is no status of an order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no status of an order: the statuses are {all}", all = all_statuses())]
pub struct UnknownStatus(pub String);

fn all_statuses() -> String {
    OrderStatus::ALL.map(OrderStatus::as_str).join(", ")
}

impl FromStr for OrderStatus {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        let found = Self::ALL.into_iter().find(|status| status.as_str() == text);
        found.ok_or_else(|| UnknownStatus(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn longest_path(from: OrderStatus) -> u8 {
        from.next().iter().map(|next| 1 + longest_path(*next)).max().unwrap_or(0)
    }

    #[test]
    fn the_longest_history_has_the_stated_number_of_changes() {
        let longest = OrderStatus::ALL.map(longest_path).into_iter().max();
        assert_eq!(longest, Some(MAX_CHANGES));
    }

    #[test]
    fn every_status_can_be_reached_from_one_that_an_order_is_placed_with() {
        let placed = [PlacedStatus::Paid, PlacedStatus::PaymentPending, PlacedStatus::Cancelled].map(OrderStatus::from);
        for status in OrderStatus::ALL {
            let reached = placed.iter().any(|from| (0..=5).any(|changes| from.leads_to(status, changes)));
            assert!(reached, "{status}");
        }
    }

    #[test]
    fn a_number_of_changes_leads_along_the_transitions_only() {
        use OrderStatus::{Cancelled, Delivered, Paid, PaymentPending, Processing, Refunded};
        assert!(Paid.leads_to(Processing, 1) && Paid.leads_to(Delivered, 3) && Paid.leads_to(Paid, 0));
        assert!(Paid.leads_to(Refunded, 1) && Paid.leads_to(Refunded, 4) && PaymentPending.leads_to(Refunded, 5));
        assert!(!Paid.leads_to(Delivered, 2) && !Paid.leads_to(PaymentPending, 1) && !Cancelled.leads_to(Paid, 1));
        assert!(!PaymentPending.leads_to(Refunded, u32::MAX));
    }

    #[test]
    fn a_status_is_read_as_it_is_written_also_by_serde() {
        for status in OrderStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        let error = "lost".parse::<OrderStatus>().unwrap_err().to_string();
        assert!(error.starts_with("\"lost\" is no status of an order: the statuses are payment_pending, "), "{error}");
    }

    /// The documentation draws the transitions as a Mermaid state diagram.
    #[test]
    fn the_documentation_draws_these_transitions() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/lifecycle.md")).unwrap();
        let mut drawn: Vec<(&str, &str)> = page
            .lines()
            .filter_map(|line| line.trim().split_once(" --> "))
            .filter(|(from, to)| *from != "[*]" && *to != "[*]")
            .collect();
        let transitions = OrderStatus::ALL.iter().flat_map(|from| from.next().iter().map(move |to| (from, to)));
        let mut expected: Vec<(&str, &str)> = transitions.map(|(from, to)| (from.as_str(), to.as_str())).collect();
        drawn.sort_unstable();
        expected.sort_unstable();
        assert_eq!(drawn, expected);
    }
}
