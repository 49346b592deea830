//! The statements that read and write the statuses of orders.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{
    QueryResult,
    pg::Pg,
    query_builder::{AstPass, QueryFragment},
    sql_query,
    sql_types::{Array, Integer, Text, Timestamptz},
};
use shared::database::{SqlError, StatementClient};

use super::classify::{History, HistoryRow, OrderState};
use crate::model::StoredChange;

/// Locks as an UPDATE does, in the order of the ids: two writers that lock the same orders never deadlock.
const LOCK_ORDERS: &str = "SELECT order_id, status, status_sequence, created_at FROM orders WHERE order_id = ANY($1) \
                           ORDER BY order_id FOR NO KEY UPDATE";

/// An order whose row is locked until the end of the transaction.
#[derive(Debug)]
pub struct LockedOrder {
    pub status: String,
    pub sequence: i32,
    pub created_at: Option<DateTime<Utc>>,
}

impl LockedOrder {
    pub fn state(&self) -> OrderState<'_> {
        OrderState { status: &self.status, sequence: self.sequence, created_at: self.created_at }
    }
}

/// Locks the orders with these ids, and returns those that the table has, by id.
///
/// # Errors
/// When the database fails, or another writer keeps a lock for longer than the timeout of a statement.
pub async fn lock_orders(client: &mut StatementClient, ids: &[&str]) -> Result<HashMap<String, LockedOrder>, SqlError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = client.query(&sql_query(LOCK_ORDERS).bind::<Array<Text>, _>(ids)).await?;
    let order = |row: &tokio_postgres::Row| {
        let order = LockedOrder { status: row.try_get(1)?, sequence: row.try_get(2)?, created_at: row.try_get(3).ok() };
        Ok((row.try_get(0)?, order))
    };
    Ok(rows.iter().map(order).collect::<Result<_, tokio_postgres::Error>>()?)
}

/// Reads the histories of the orders with these ids, by id. An order without changes has none.
///
/// # Errors
/// When the database fails.
pub async fn read_histories(client: &mut StatementClient, ids: &[&str]) -> Result<HashMap<String, History>, SqlError> {
    let rows = client.query(&sql_query(StoredChange::QUERY).bind::<Array<Text>, _>(ids)).await?;
    let mut histories: HashMap<String, History> = HashMap::new();
    for row in &rows {
        let (order_id, sequence, change) = StoredChange::of_row(row)?;
        histories.entry(order_id).or_default().insert(sequence, change);
    }
    Ok(histories)
}

/// Inserts rows into the histories.
#[derive(Default)]
pub struct InsertHistory<'a> {
    order_ids: Vec<&'a str>,
    sequences: Vec<i32>,
    statuses: Vec<&'a str>,
    reasons: Vec<&'a str>,
    occurred_ats: Vec<DateTime<Utc>>,
}

impl<'a> InsertHistory<'a> {
    pub fn push(&mut self, order_id: &'a str, row: &HistoryRow<'a>) {
        self.order_ids.push(order_id);
        self.sequences.push(row.sequence);
        self.statuses.push(row.status);
        self.reasons.push(row.reason);
        self.occurred_ats.push(row.occurred_at);
    }

    /// The number of rows.
    pub fn row_count(&self) -> usize {
        self.order_ids.len()
    }

    /// The order id of each row, and the row.
    #[cfg(test)]
    pub fn rows(&self) -> impl Iterator<Item = (&'a str, HistoryRow<'a>)> {
        self.order_ids.iter().enumerate().map(|(at, order_id)| {
            let (sequence, status, reason) = (self.sequences[at], self.statuses[at], self.reasons[at]);
            (*order_id, HistoryRow { sequence, status, reason, occurred_at: self.occurred_ats[at] })
        })
    }
}

impl QueryFragment<Pg> for InsertHistory<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("INSERT INTO order_events (order_id, sequence, status, reason, occurred_at) SELECT UNNEST(");
        out.push_bind_param::<Array<Text>, _>(&self.order_ids)?;
        out.push_sql("::text[]), UNNEST(");
        out.push_bind_param::<Array<Integer>, _>(&self.sequences)?;
        out.push_sql("::int[]), UNNEST(");
        out.push_bind_param::<Array<Text>, _>(&self.statuses)?;
        out.push_sql("::text[]), UNNEST(");
        out.push_bind_param::<Array<Text>, _>(&self.reasons)?;
        out.push_sql("::text[]), UNNEST(");
        out.push_bind_param::<Array<Timestamptz>, _>(&self.occurred_ats)?;
        out.push_sql("::timestamptz[])");
        Ok(())
    }
}

/// Updates the statuses of orders, unless they have a later one.
#[derive(Default)]
pub struct UpdateOrders<'a> {
    pub order_ids: Vec<&'a str>,
    statuses: Vec<&'a str>,
    sequences: Vec<i32>,
}

impl<'a> UpdateOrders<'a> {
    pub fn push(&mut self, order_id: &'a str, status: &'a str, sequence: i32) {
        self.order_ids.push(order_id);
        self.statuses.push(status);
        self.sequences.push(sequence);
    }

    /// Order id, status and sequence of each row.
    #[cfg(test)]
    pub fn rows(&self) -> impl Iterator<Item = (&'a str, &'a str, i32)> {
        let rows = self.order_ids.iter().zip(&self.statuses).zip(&self.sequences);
        rows.map(|((order_id, status), sequence)| (*order_id, *status, *sequence))
    }
}

impl QueryFragment<Pg> for UpdateOrders<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "UPDATE orders SET status = changed.status, status_sequence = changed.sequence, updated_at = now() \
             FROM (SELECT UNNEST(",
        );
        out.push_bind_param::<Array<Text>, _>(&self.order_ids)?;
        out.push_sql("::text[]) AS order_id, UNNEST(");
        out.push_bind_param::<Array<Text>, _>(&self.statuses)?;
        out.push_sql("::text[]) AS status, UNNEST(");
        out.push_bind_param::<Array<Integer>, _>(&self.sequences)?;
        out.push_sql(
            "::int[]) AS sequence) AS changed \
             WHERE orders.order_id = changed.order_id AND orders.status_sequence < changed.sequence",
        );
        Ok(())
    }
}
