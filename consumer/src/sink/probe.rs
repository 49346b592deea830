//! Tries whether the tables accept orders and changes, without storing one.

use shared::database::{SqlError, StatementClient};

use super::{
    failure::Failure,
    order_sink::{Probe, Probed},
    trial::{DIFFERENT_CHARS, rolled_back},
};

/// What is copied. Of these two, one may be refused by a trigger, or be locked.
#[derive(Clone, Copy, Debug)]
pub enum Copied {
    First,
    Last,
}

impl Copied {
    pub const ALL: [Self; 2] = [Self::Last, Self::First];

    fn direction(self) -> &'static str {
        match self {
            Self::First => "ASC",
            Self::Last => "DESC",
        }
    }

    /// Inserts a copy of an order with another id of the same length. Rights, policies, triggers and constraints treat
    /// it as any other order.
    fn insert_order(self) -> String {
        let direction = self.direction();
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

/// Sequences of a history are this far below those of its copy.
const SEQUENCES: i32 = 1_000_000;

impl Copied {
    /// Inserts a copy of a change with a later sequence, and updates its order.
    fn insert_change(self) -> String {
        let direction = self.direction();
        format!(
            "WITH copied AS (SELECT * FROM order_events ORDER BY order_id {direction}, sequence {direction} LIMIT 1), \
             changed AS (UPDATE orders SET status = orders.status, status_sequence = orders.status_sequence, \
             updated_at = now() FROM copied WHERE orders.order_id = copied.order_id) \
             INSERT INTO order_events (order_id, sequence, status, reason, occurred_at) \
             SELECT order_id, sequence + {SEQUENCES}, status, reason, occurred_at FROM copied"
        )
    }
}

/// Inserts a copy of a stored row in a transaction that is rolled back.
///
/// # Errors
/// When the insert fails because of something else than the copied row.
pub async fn probe(client: &mut StatementClient, probed: Probed, copied: Copied) -> Result<Probe, SqlError> {
    let insert = match probed {
        Probed::Orders => copied.insert_order(),
        Probed::Changes => copied.insert_change(),
    };
    let inserting = rolled_back(client, async |client| {
        let inserted = client.execute(&diesel::sql_query(&insert)).await?;
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
