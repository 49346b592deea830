use std::sync::Arc;

use shared::wire::ReceivedOrder;

/// The attributes that an order copies from its user.
#[derive(Debug)]
pub struct UserAttributes {
    /// `M`, `F` or `U`.
    pub gender: String,
    /// Such as `30대`.
    pub age_group: String,
    /// Such as `서울`.
    pub region: String,
}

/// The attributes that an order copies from its product.
#[derive(Debug)]
pub struct ProductAttributes {
    /// Such as `식품`.
    pub category: String,
}

/// An enriched order: a row of table `orders`.
#[derive(Clone, Debug)]
pub struct OrderRow {
    pub order: ReceivedOrder,
    pub user: Arc<UserAttributes>,
    pub product: Arc<ProductAttributes>,
}
