use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::status::OrderStatus;
use crate::order::serialize_micros;

/// Maximum length of a reason in characters, as the table has it.
pub const MAX_REASON_CHARS: usize = 100;

/// The value of a record of topic `orders`, event type `order.status_changed.v1`. The key of the record is the order id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderStatusChanged {
    /// Position of the change in the history of its order, from 1. Number 0 is the status that the order was placed
    /// with.
    #[schemars(range(min = 1))]
    pub sequence: i32,
    /// The status from now on.
    pub status: OrderStatus,
    /// Why, such as `card_declined`; empty when nothing is known. At most 100 characters.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub reason: String,
    /// When the status changed: the due time of the change by the producer's schedule, to the microsecond.
    #[serde(serialize_with = "serialize_micros")]
    pub occurred_at: DateTime<Utc>,
}
