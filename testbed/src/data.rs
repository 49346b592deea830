//! Test data: the value of an order, and a filled cache.

use crate::bed::Testbed;

/// The value of an order that every test's database accepts.
pub const ORDER_VALUE: &str = r#"{"user_id":"U00000001","product_id":"P000001","quantity":1,"total_amount":1000,
    "shipping_cost":0,"discount_amount":0,"payment_method":"card",
    "status":"paid","created_at":"2026-01-01T00:00:00Z"}"#;

/// Copies the first 100 users and products of the test's database into the test's cache, in the form of the
/// cache-worker.
///
/// # Panics
/// When Redis or the database can't be reached.
pub async fn fill_cache(bed: &Testbed) {
    let (sql, mut redis) = (bed.sql().await, bed.redis().await);
    for (table, id, key) in [("users", "user_id", bed.keys().users), ("products", "product_id", bed.keys().products)] {
        let query = format!("SELECT {id}, to_jsonb(t)::text FROM {table} t ORDER BY {id} LIMIT 100");
        for row in sql.query(&query, &[]).await.expect("the table can be read") {
            let (id, json): (String, String) = (row.get(0), row.get(1));
            let () = redis::AsyncCommands::hset(&mut redis, &key, id, json).await.expect("the cache can be written");
        }
    }
}
