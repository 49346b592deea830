//! The statement that puts orders into the table.

use chrono::{DateTime, Utc};
use diesel::{
    QueryResult,
    pg::Pg,
    query_builder::{AstPass, QueryFragment, QueryId},
    sql_types::{Array, Integer, Text, Timestamptz},
};
use shared::catalog::{ProductId, UserId};

use crate::store::OrderRow;

/// `INSERT … SELECT … FROM UNNEST(…) ON CONFLICT DO NOTHING`: one plan for every batch size, at twice the speed of
/// Diesel's multi-row `VALUES`.
#[derive(Default)]
pub struct InsertOrders {
    order_ids: Vec<String>,
    user_ids: Vec<String>,
    product_ids: Vec<String>,
    quantities: Vec<i32>,
    total_amounts: Vec<i32>,
    shipping_costs: Vec<i32>,
    discount_amounts: Vec<i32>,
    payment_methods: Vec<&'static str>,
    statuses: Vec<&'static str>,
    categories: Vec<String>,
    regions: Vec<String>,
    genders: Vec<String>,
    age_groups: Vec<String>,
    created_ats: Vec<DateTime<Utc>>,
}

impl InsertOrders {
    /// Of these rows.
    pub fn of(rows: &[&OrderRow]) -> Self {
        let mut insert = Self::default();
        for row in rows {
            let event = &row.order.event;
            insert.order_ids.push(row.order.order_id.clone());
            insert.user_ids.push(UserId::as_str(&event.user_id).to_owned());
            insert.product_ids.push(ProductId::as_str(&event.product_id).to_owned());
            insert.quantities.push(event.quantity);
            insert.total_amounts.push(event.total_amount);
            insert.shipping_costs.push(event.shipping_cost);
            insert.discount_amounts.push(event.discount_amount);
            insert.payment_methods.push(event.payment_method.as_str());
            insert.statuses.push(event.status.as_str());
            insert.categories.push(row.product.category.clone());
            insert.regions.push(row.user.region.clone());
            insert.genders.push(row.user.gender.clone());
            insert.age_groups.push(row.user.age_group.clone());
            insert.created_ats.push(event.created_at);
        }
        insert
    }
}

impl QueryId for InsertOrders {
    type QueryId = Self;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryFragment<Pg> for InsertOrders {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "INSERT INTO orders (order_id, user_id, product_id, quantity, total_amount, shipping_cost, discount_amount, \
             payment_method, status, category, user_region, user_gender, user_age_group, created_at) SELECT * FROM UNNEST(",
        );
        macro_rules! column {
            ($sql_type:ty, $cast:literal, $values:expr) => {
                out.push_bind_param::<Array<$sql_type>, _>($values)?;
                out.push_sql($cast);
            };
        }
        column!(Text, "::text[], ", &self.order_ids);
        column!(Text, "::text[], ", &self.user_ids);
        column!(Text, "::text[], ", &self.product_ids);
        column!(Integer, "::int[], ", &self.quantities);
        column!(Integer, "::int[], ", &self.total_amounts);
        column!(Integer, "::int[], ", &self.shipping_costs);
        column!(Integer, "::int[], ", &self.discount_amounts);
        column!(Text, "::text[], ", &self.payment_methods);
        column!(Text, "::text[], ", &self.statuses);
        column!(Text, "::text[], ", &self.categories);
        column!(Text, "::text[], ", &self.regions);
        column!(Text, "::text[], ", &self.genders);
        column!(Text, "::text[], ", &self.age_groups);
        column!(Timestamptz, "::timestamptz[]", &self.created_ats);
        out.push_sql(") ON CONFLICT DO NOTHING");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use diesel::query_builder::{QueryBuilder, QueryFragment};

    use super::*;

    #[test]
    fn the_statement_is_the_same_for_every_batch_size() {
        let sql = |insert: &InsertOrders| {
            let mut sql = diesel::pg::PgQueryBuilder::default();
            insert.to_sql(&mut sql, &Pg).unwrap();
            sql.finish()
        };
        let one = InsertOrders { order_ids: vec!["a".to_owned()], ..InsertOrders::default() };
        assert_eq!(sql(&one), sql(&InsertOrders::default()));
        assert!(sql(&one).contains("$14::timestamptz[]) ON CONFLICT DO NOTHING"), "{}", sql(&one));
    }
}
