//! The statement that inserts a batch of orders.

use chrono::{DateTime, Utc};
use diesel::{
    QueryResult,
    pg::Pg,
    query_builder::{AstPass, QueryFragment},
    sql_types::{Array, Integer, Text, Timestamptz},
};

use crate::model::OrderRow;

/// `INSERT … SELECT UNNEST(…), … ON CONFLICT (order_id) DO NOTHING`: one plan for every batch size, at twice the speed of
/// Diesel's multi-row `VALUES`. `FROM UNNEST(…, …)` would copy the rows before it inserts them: 1 µs an order. Only an
/// order id that the table has is skipped; another unique index refuses. There are two statements: only a batch with
/// orders that were changed already has the column `status_sequence`.
#[derive(Default)]
pub struct InsertOrders<'a> {
    order_ids: Vec<&'a str>,
    user_ids: Vec<&'a str>,
    product_ids: Vec<&'a str>,
    quantities: Vec<i32>,
    total_amounts: Vec<i32>,
    shipping_costs: Vec<i32>,
    discount_amounts: Vec<i32>,
    payment_methods: Vec<&'static str>,
    statuses: Vec<&'a str>,
    categories: Vec<&'a str>,
    regions: Vec<&'a str>,
    genders: Vec<&'a str>,
    age_groups: Vec<&'a str>,
    created_ats: Vec<DateTime<Utc>>,
    /// Empty when all orders have the status that they were placed with: the statement then has no such column.
    sequences: Vec<i32>,
}

impl<'a> InsertOrders<'a> {
    pub fn of(rows: &[&'a OrderRow]) -> Self {
        let mut insert = Self::default();
        for row in rows {
            let event = &row.order.event;
            insert.order_ids.push(row.order.order_id.as_str());
            insert.user_ids.push(event.user_id.as_str());
            insert.product_ids.push(event.product_id.as_str());
            insert.quantities.push(event.quantity);
            insert.total_amounts.push(event.total_amount);
            insert.shipping_costs.push(event.shipping_cost);
            insert.discount_amounts.push(event.discount_amount);
            insert.payment_methods.push(event.payment_method.as_str());
            insert.statuses.push(event.status.as_str());
            insert.categories.push(&row.product.category);
            insert.regions.push(&row.user.region);
            insert.genders.push(&row.user.gender);
            insert.age_groups.push(&row.user.age_group);
            insert.created_ats.push(event.created_at);
        }
        insert
    }

    /// Inserts the order at this index with a later status, and its sequence.
    pub fn set_status(&mut self, at: usize, (sequence, status): (i32, &'a str)) {
        self.sequences.resize(self.order_ids.len(), 0);
        (self.sequences[at], self.statuses[at]) = (sequence, status);
    }
}

impl QueryFragment<Pg> for InsertOrders<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "INSERT INTO orders (order_id, user_id, product_id, quantity, total_amount, shipping_cost, \
             discount_amount, payment_method, status, category, user_region, user_gender, user_age_group, created_at",
        );
        let has_sequences = !self.sequences.is_empty();
        out.push_sql(if has_sequences { ", status_sequence) SELECT " } else { ") SELECT " });
        macro_rules! column {
            ($sql_type:ty, $cast:literal, $values:expr) => {
                out.push_sql("UNNEST(");
                out.push_bind_param::<Array<$sql_type>, _>($values)?;
                out.push_sql($cast);
            };
        }
        column!(Text, "::text[]), ", &self.order_ids);
        column!(Text, "::text[]), ", &self.user_ids);
        column!(Text, "::text[]), ", &self.product_ids);
        column!(Integer, "::int[]), ", &self.quantities);
        column!(Integer, "::int[]), ", &self.total_amounts);
        column!(Integer, "::int[]), ", &self.shipping_costs);
        column!(Integer, "::int[]), ", &self.discount_amounts);
        column!(Text, "::text[]), ", &self.payment_methods);
        column!(Text, "::text[]), ", &self.statuses);
        column!(Text, "::text[]), ", &self.categories);
        column!(Text, "::text[]), ", &self.regions);
        column!(Text, "::text[]), ", &self.genders);
        column!(Text, "::text[]), ", &self.age_groups);
        column!(Timestamptz, "::timestamptz[])", &self.created_ats);
        if has_sequences {
            out.push_sql(", UNNEST(");
            out.push_bind_param::<Array<Integer>, _>(&self.sequences)?;
            out.push_sql("::int[])");
        }
        out.push_sql(" ON CONFLICT (order_id) DO NOTHING");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use diesel::query_builder::{QueryBuilder, QueryFragment};

    use super::*;

    #[test]
    fn the_statement_is_the_same_for_every_batch_size() {
        let sql = |insert: &InsertOrders<'_>| {
            let mut sql = diesel::pg::PgQueryBuilder::default();
            insert.to_sql(&mut sql, &Pg).unwrap();
            sql.finish()
        };
        let one = InsertOrders { order_ids: vec!["a"], ..InsertOrders::default() };
        assert_eq!(sql(&one), sql(&InsertOrders::default()));
        assert!(sql(&one).contains("$14::timestamptz[]) ON CONFLICT (order_id) DO NOTHING"), "{}", sql(&one));
        let changed = InsertOrders { sequences: vec![1], ..InsertOrders::default() };
        assert!(sql(&changed).contains("created_at, status_sequence) SELECT "), "{}", sql(&changed));
    }
}
