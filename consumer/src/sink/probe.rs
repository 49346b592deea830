//! Tries whether the table accepts orders, without storing one.

use shared::database::{SqlError, StatementClient};

use super::{bisect::Probe, failure::Failure};

/// A copy of the last order, with another id of the same length. Rights, policies, triggers and constraints treat it as
/// any other order.
const INSERT_COPY: &str = "INSERT INTO orders (order_id, user_id, product_id, quantity, total_amount, shipping_cost, \
     discount_amount, payment_method, status, category, user_region, user_gender, user_age_group, created_at) \
     SELECT left(order_id, -12) || left(md5(random()::text), 12), user_id, product_id, quantity, total_amount, \
     shipping_cost, discount_amount, payment_method, status, category, user_region, user_gender, user_age_group, \
     created_at FROM orders ORDER BY order_id DESC LIMIT 1 ON CONFLICT (order_id) DO NOTHING";

/// The end of the transaction, which is always rolled back.
enum RolledBack {
    Inserted(u64),
    Failed(SqlError),
}

impl From<SqlError> for RolledBack {
    fn from(error: SqlError) -> Self {
        Self::Failed(error)
    }
}

/// Inserts a copy of the last order in a transaction that is rolled back.
///
/// # Errors
/// When the insert fails because of something else than the copied row.
pub async fn probe(client: &mut StatementClient) -> Result<Probe, SqlError> {
    let inserting = client.transaction(async |client| -> Result<(), RolledBack> {
        let inserted = client.execute(&diesel::sql_query(INSERT_COPY)).await?;
        // Deferred constraints and triggers would be checked at the commit only.
        client.batch("SET CONSTRAINTS ALL IMMEDIATE").await?;
        Err(RolledBack::Inserted(inserted))
    });
    match inserting.await {
        Err(RolledBack::Inserted(inserted)) if inserted > 0 => Ok(Probe::Accepts),
        Err(RolledBack::Failed(error)) if Failure::of(&error) != Failure::Data => Err(error),
        _ => Ok(Probe::Inconclusive),
    }
}
