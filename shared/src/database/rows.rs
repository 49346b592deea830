use chrono::NaiveDate;
use diesel::{Insertable, Queryable, Selectable};
use tokio_postgres::Row;

use super::schema::{products, users};
use crate::catalog::{Product, User};

/// A row of table `users`, without the columns that the database sets: `created_at` and `last_cached_at`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = users)]
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
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = products)]
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
