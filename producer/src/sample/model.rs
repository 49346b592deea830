//! The fields of users and products that an order needs.

use serde::{Deserialize, Serialize};
use shared::catalog::{ProductId, UserId};

/// A user, as read from the cache or a catalog file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampledUser {
    pub user_id: UserId,
}

/// A product, as read from the cache or a catalog file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampledProduct {
    pub product_id: ProductId,
    /// Whole won per piece.
    pub price: i32,
}
