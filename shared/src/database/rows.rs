use chrono::{DateTime, NaiveDate, Utc};
use diesel::{AsChangeset, Insertable, Queryable, Selectable};
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;

use super::schema::{orders, products, users};
use crate::catalog::{Product, User};

/// A row of table `users`, without the columns that the database sets: `created_at` and `last_cached_at`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = users, primary_key(user_id))]
pub struct UserRow {
    user_id: String,
    name: String,
    gender: String,
    age: i32,
    age_group: String,
    region: String,
    join_date: NaiveDate,
}

impl From<UserRow> for User {
    fn from(row: UserRow) -> Self {
        let UserRow { user_id, name, gender, age, age_group, region, join_date } = row;
        Self { user_id: user_id.into(), name, gender, age, age_group, region, join_date }
    }
}

impl From<User> for UserRow {
    fn from(user: User) -> Self {
        let User { user_id, name, gender, age, age_group, region, join_date } = user;
        Self { user_id: user_id.to_string(), name, gender, age, age_group, region, join_date }
    }
}

impl From<&Row> for User {
    /// Panics when the query did not select all columns of [`UserRow`].
    fn from(row: &Row) -> Self {
        Self {
            user_id: row.get::<_, &str>("user_id").into(),
            name: row.get("name"),
            gender: row.get("gender"),
            age: row.get("age"),
            age_group: row.get("age_group"),
            region: row.get("region"),
            join_date: row.get("join_date"),
        }
    }
}

/// A row of table `products`, without the columns that the database sets: `created_at` and `last_cached_at`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = products, primary_key(product_id))]
pub struct ProductRow {
    product_id: String,
    name: String,
    category: String,
    brand: String,
    price: i32,
    org_price: i32,
    discount_rate: f64,
    stock: i32,
}

impl From<ProductRow> for Product {
    fn from(row: ProductRow) -> Self {
        let ProductRow { product_id, name, category, brand, price, org_price, discount_rate, stock } = row;
        Self { product_id: product_id.into(), name, category, brand, price, org_price, discount_rate, stock }
    }
}

impl From<Product> for ProductRow {
    fn from(product: Product) -> Self {
        let Product { product_id, name, category, brand, price, org_price, discount_rate, stock } = product;
        Self { product_id: product_id.to_string(), name, category, brand, price, org_price, discount_rate, stock }
    }
}

impl From<&Row> for Product {
    /// Panics when the query did not select all columns of [`ProductRow`].
    fn from(row: &Row) -> Self {
        Self {
            product_id: row.get::<_, &str>("product_id").into(),
            name: row.get("name"),
            category: row.get("category"),
            brand: row.get("brand"),
            price: row.get("price"),
            org_price: row.get("org_price"),
            discount_rate: row.get("discount_rate"),
            stock: row.get("stock"),
        }
    }
}

/// A row of table `orders`.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable, Insertable, AsChangeset, Serialize, Deserialize)]
#[diesel(table_name = orders, primary_key(order_id))]
pub struct Order {
    /// Primary key, 1 to 50 characters.
    pub order_id: String,
    /// The user who ordered.
    pub user_id: String,
    /// What was ordered.
    pub product_id: String,
    /// Number of pieces, at least 1.
    pub quantity: i32,
    /// Amount to pay in whole won.
    pub total_amount: i32,
    /// Shipping in whole won.
    pub shipping_cost: i32,
    /// Discount in whole won.
    pub discount_amount: i32,
    /// How the order is paid, at most 20 characters.
    pub payment_method: String,
    /// At most 20 characters.
    pub status: String,
    /// Category of the product at the time of the order.
    pub category: String,
    /// Region of the user at the time of the order.
    pub user_region: String,
    /// Gender of the user at the time of the order.
    pub user_gender: String,
    /// Age group of the user at the time of the order.
    pub user_age_group: String,
    /// When the user ordered.
    pub created_at: DateTime<Utc>,
    /// Position of the status in the history of the order; 0 for the one that it was placed with.
    pub status_sequence: i32,
    /// When the row was last written.
    pub updated_at: DateTime<Utc>,
}

impl From<&Row> for Order {
    /// Panics when the query did not select all columns.
    fn from(row: &Row) -> Self {
        Self {
            order_id: row.get("order_id"),
            user_id: row.get("user_id"),
            product_id: row.get("product_id"),
            quantity: row.get("quantity"),
            total_amount: row.get("total_amount"),
            shipping_cost: row.get("shipping_cost"),
            discount_amount: row.get("discount_amount"),
            payment_method: row.get("payment_method"),
            status: row.get("status"),
            category: row.get("category"),
            user_region: row.get("user_region"),
            user_gender: row.get("user_gender"),
            user_age_group: row.get("user_age_group"),
            created_at: row.get("created_at"),
            status_sequence: row.get("status_sequence"),
            updated_at: row.get("updated_at"),
        }
    }
}
