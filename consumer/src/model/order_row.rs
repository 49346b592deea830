use std::sync::Arc;

use shared::{
    catalog::{Product, User},
    wire::ReceivedOrder,
};

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

impl From<&User> for UserAttributes {
    fn from(user: &User) -> Self {
        Self { gender: user.gender.clone(), age_group: user.age_group.clone(), region: user.region.clone() }
    }
}

impl From<&Product> for ProductAttributes {
    fn from(product: &Product) -> Self {
        Self { category: product.category.clone() }
    }
}

/// An enriched order: a row of table `orders`.
#[derive(Clone, Debug)]
pub struct OrderRow {
    pub order: ReceivedOrder,
    pub user: Arc<UserAttributes>,
    pub product: Arc<ProductAttributes>,
}
