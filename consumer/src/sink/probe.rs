//! Tries whether the table accepts orders, without storing one.

use shared::database::{SqlError, StatementClient};

use super::{
    bisect::Probe,
    failure::Failure,
    trial::{DIFFERENT_CHARS, rolled_back},
};

/// A stored order that is copied. Of these two, one may be refused by a trigger, or have its user locked.
#[derive(Clone, Copy, Debug)]
pub enum Copied {
    First,
    Last,
}

impl Copied {
    pub const ALL: [Self; 2] = [Self::Last, Self::First];

    /// Inserts a copy with another id of the same length. Rights, policies, triggers and constraints treat it as any
    /// other order.
    fn insert(self) -> String {
        let direction = match self {
            Self::First => "ASC",
            Self::Last => "DESC",
        };
        format!(
            "INSERT INTO orders (order_id, user_id, product_id, quantity, total_amount, shipping_cost, \
             discount_amount, payment_method, status, category, user_region, user_gender, user_age_group, created_at) \
             SELECT left(order_id, -{DIFFERENT_CHARS}) || left(md5(random()::text), {DIFFERENT_CHARS}), user_id, \
             product_id, quantity, total_amount, shipping_cost, discount_amount, payment_method, status, category, \
             user_region, user_gender, user_age_group, created_at FROM orders ORDER BY order_id {direction} LIMIT 1 \
             ON CONFLICT (order_id) DO NOTHING"
        )
    }
}

/// Inserts a copy of an order in a transaction that is rolled back.
///
/// # Errors
/// When the insert fails because of something else than the copied row.
pub async fn probe(client: &mut StatementClient, copied: Copied) -> Result<Probe, SqlError> {
    let inserting = rolled_back(client, async |client| {
        let inserted = client.execute(&diesel::sql_query(copied.insert())).await?;
        // Deferred constraints and triggers would be checked at the commit only.
        client.batch("SET CONSTRAINTS ALL IMMEDIATE").await?;
        Ok(inserted)
    });
    match inserting.await {
        Ok(inserted) if inserted > 0 => Ok(Probe::Accepts),
        Err(error) if Failure::of(&error) != Failure::Data => Err(error),
        _ => Ok(Probe::Inconclusive),
    }
}
