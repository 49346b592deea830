//! The tables whose rows are looked up by id.

use std::{future::Future, hash::Hash};

use diesel::{ExpressionMethods, QueryDsl, SelectableHelper, pg::Pg, query_builder::QueryFragment};
use serde::Serialize;
use tokio_postgres::Row;

use crate::{
    cache::CacheKeys,
    catalog::{Product, ProductId, User, UserId},
    database::{
        Order, ProductRow, SqlError, StatementClient, UserRow,
        schema::{orders, products, users},
    },
    metrics::ROW_QUERIES,
};

/// A whole row of a table. Its JSON form is that of Redis.
pub trait LookupRow: Serialize + for<'row> From<&'row Row> + Clone + Send + Sync + 'static {
    /// The primary key.
    type Id: AsRef<str> + for<'text> From<&'text str> + Clone + Eq + Hash + Send + Sync + 'static;

    /// What a row is, in the keys of Redis and in metrics.
    const WHAT: &'static str;
    /// Table and primary key.
    const TABLE: (&'static str, &'static str);

    /// The primary key.
    fn id(&self) -> &str;

    /// The hash of the cache-worker that has some of the rows.
    fn hash(keys: &CacheKeys) -> Option<&str>;

    /// The query for the rows of these ids.
    fn query(ids: Vec<&str>) -> impl QueryFragment<Pg> + Send + Sync;
}

/// Queries the rows of these ids, in no particular order. An id that is in no row is left out.
///
/// # Errors
/// When the database fails.
pub fn select_rows<Whole: LookupRow>(
    database: &mut StatementClient,
    ids: Vec<&str>,
) -> impl Future<Output = Result<Vec<Whole>, SqlError>> + Send {
    ::metrics::counter!(ROW_QUERIES, "what" => Whole::WHAT).increment(1);
    let query = Whole::query(ids);
    async move { Ok(database.query(&query).await?.iter().map(Whole::from).collect()) }
}

impl LookupRow for User {
    type Id = UserId;

    const WHAT: &'static str = "user";
    const TABLE: (&'static str, &'static str) = ("users", "user_id");

    fn id(&self) -> &str {
        self.user_id.as_str()
    }

    fn hash(keys: &CacheKeys) -> Option<&str> {
        Some(&keys.users)
    }

    fn query(ids: Vec<&str>) -> impl QueryFragment<Pg> + Send + Sync {
        users::table.filter(users::user_id.eq_any(ids)).select(UserRow::as_select())
    }
}

impl LookupRow for Product {
    type Id = ProductId;

    const WHAT: &'static str = "product";
    const TABLE: (&'static str, &'static str) = ("products", "product_id");

    fn id(&self) -> &str {
        self.product_id.as_str()
    }

    fn hash(keys: &CacheKeys) -> Option<&str> {
        Some(&keys.products)
    }

    fn query(ids: Vec<&str>) -> impl QueryFragment<Pg> + Send + Sync {
        products::table.filter(products::product_id.eq_any(ids)).select(ProductRow::as_select())
    }
}

impl LookupRow for Order {
    type Id = String;

    const WHAT: &'static str = "order";
    const TABLE: (&'static str, &'static str) = ("orders", "order_id");

    fn id(&self) -> &str {
        &self.order_id
    }

    fn hash(_: &CacheKeys) -> Option<&str> {
        None
    }

    fn query(ids: Vec<&str>) -> impl QueryFragment<Pg> + Send + Sync {
        orders::table.filter(orders::order_id.eq_any(ids)).select(Order::as_select())
    }
}
