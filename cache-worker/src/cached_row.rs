//! The tables that are cached: name, id column and columns.

use serde::Serialize;
use shared::catalog::{Product, User};

/// A row of a table that is cached. Each table has the columns `created_at` and `last_cached_at`, and an index for each
/// query of [`select`](crate::select).
pub trait CachedRow: Serialize + for<'row> From<&'row tokio_postgres::Row> {
    const TABLE: &'static str;
    const ID_COLUMN: &'static str;
    /// The columns from which a row is built.
    const COLUMNS: &'static str;

    fn id(&self) -> &str;
}

impl CachedRow for User {
    const TABLE: &'static str = "users";
    const ID_COLUMN: &'static str = "user_id";
    const COLUMNS: &'static str = "user_id, name, gender, age, age_group, region, join_date";

    fn id(&self) -> &str {
        self.user_id.as_str()
    }
}

impl CachedRow for Product {
    const TABLE: &'static str = "products";
    const ID_COLUMN: &'static str = "product_id";
    const COLUMNS: &'static str = "product_id, name, category, brand, price, org_price, discount_rate, stock";

    fn id(&self) -> &str {
        self.product_id.as_str()
    }
}
