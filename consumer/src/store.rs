//! Rows into the table: one statement a batch, again and again until the database takes it; a row that it refuses is
//! found by bisection and costs no other row (invariants 5 and 7).

use std::ops::Range;

use chrono::{DateTime, Utc};
use diesel::{
    QueryResult,
    pg::Pg,
    query_builder::{AstPass, QueryFragment, QueryId},
    sql_types::{Array, Integer, Text, Timestamptz},
};
use shared::{
    catalog::{ProductId, UserId},
    database::{DatabaseSettings, SqlError, StatementClient, connect},
    retry::Backoff,
};
use tokio_util::sync::CancellationToken;

use crate::{
    enrich::{ProductFacts, UserFacts},
    health::{Health, Obstacle},
};
use std::{sync::Arc, time::Duration};

/// An order, enriched.
#[derive(Clone, Debug)]
pub struct OrderRow {
    /// The order.
    pub order: shared::wire::ReceivedOrder,
    /// What it takes over from its user.
    pub user: Arc<UserFacts>,
    /// What it takes over from its product.
    pub product: Arc<ProductFacts>,
}

/// `INSERT … SELECT … FROM UNNEST(…) ON CONFLICT DO NOTHING`: one plan for every batch size, at twice the speed of
/// Diesel's multi-row `VALUES`.
#[derive(Default)]
struct InsertOrders {
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
    fn of(rows: &[&OrderRow]) -> Self {
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

/// What a database error means for the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// Some row is at fault.
    Data,
    /// The statement was too long for the server's time limit.
    TooLong,
    /// Not the rows' fault: it passes.
    Outage,
}

impl Failure {
    /// Classes 22 (data), 23 (constraint), 44 (check option) and P0001 (raised by a trigger) are about the data.
    fn of(error: &SqlError) -> Self {
        match error.sqlstate() {
            Some("57014") => Self::TooLong,
            Some("P0001") => Self::Data,
            Some(state) if ["22", "23", "44"].iter().any(|class| state.starts_with(class)) => Self::Data,
            _ => Self::Outage,
        }
    }
}

/// What became of a batch's rows.
#[derive(Debug, Default)]
pub struct Stored {
    /// Rows that the table took; the others but the refused ones were there already.
    pub inserted: u64,
    /// Rows that the table refuses, by their place in the batch, and why.
    pub refused: Vec<(usize, SqlError)>,
}

/// The batch was given up: the stop's deadline is over, or its partitions are gone.
#[derive(Debug, PartialEq, Eq)]
pub struct GivenUp;

/// For how long an outage is waited out: until a stop's deadline, or until nobody needs the result any more.
pub struct Outage<'a> {
    abandon: &'a CancellationToken,
    unneeded: &'a (dyn Fn() -> bool + Sync),
    backoff: Backoff,
}

impl<'a> Outage<'a> {
    /// Waits until `abandon` is cancelled or `unneeded` says so.
    pub fn until(abandon: &'a CancellationToken, unneeded: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Self { abandon, unneeded, backoff: Backoff::start() }
    }

    /// Whether it is still waited for.
    ///
    /// # Errors
    /// [`GivenUp`] when it isn't.
    pub fn check(&self) -> Result<(), GivenUp> {
        if self.abandon.is_cancelled() || (self.unneeded)() { Err(GivenUp) } else { Ok(()) }
    }

    /// Waits for `call`, but no longer than the stop does. A statement that was sent may still commit, which is harmless.
    ///
    /// # Errors
    /// [`GivenUp`] when the stop's deadline came first.
    pub async fn unless_abandoned<T>(&self, call: impl Future<Output = T>) -> Result<T, GivenUp> {
        self.abandon.run_until_cancelled(call).await.ok_or(GivenUp)
    }

    /// Waits for the next delay, or until the stop's deadline.
    pub async fn wait(&mut self) {
        self.abandon.run_until_cancelled(tokio::time::sleep(self.backoff.next_delay())).await;
    }
}

/// A connection that is opened again whenever it breaks.
pub struct Database {
    settings: DatabaseSettings,
    deadline: Duration,
    client: Option<StatementClient>,
    health: Arc<Health>,
}

impl Database {
    /// Not connected yet.
    pub fn new(settings: DatabaseSettings, deadline: Duration, health: Arc<Health>) -> Self {
        Self { settings, deadline, client: None, health }
    }

    /// The connection, once there is one; an outage is waited out, for as long as it takes.
    ///
    /// # Errors
    /// [`GivenUp`] when the outage is not waited for any longer.
    pub async fn connected(&mut self, outage: &mut Outage<'_>) -> Result<&mut StatementClient, GivenUp> {
        while self.client.as_ref().is_none_or(StatementClient::is_closed) {
            outage.check()?;
            match outage.unless_abandoned(connect(&self.settings)).await? {
                Ok(client) => self.client = Some(StatementClient::new(client, self.deadline)),
                Err(error) => self.lost(format!("{error:#}"), outage).await,
            }
        }
        outage.check()?;
        self.client.as_mut().ok_or(GivenUp)
    }

    /// What a call's result means: an answer, which may be an error for the data's sake, or nothing but that the call has
    /// to be made again, once the outage's next delay is over.
    pub async fn answered<T>(
        &mut self,
        result: Result<T, SqlError>,
        outage: &mut Outage<'_>,
    ) -> Option<Result<T, SqlError>> {
        match result {
            Err(error) if Failure::of(&error) == Failure::Outage => {
                self.lost(error.to_string(), outage).await;
                None
            }
            answer => {
                self.health.well(Obstacle::Database);
                Some(answer)
            }
        }
    }

    /// The database is of no use right now: says so, and waits for the outage's next delay.
    pub async fn lost(&mut self, error: String, outage: &mut Outage<'_>) {
        self.client = None;
        let what = format!("the database {} is lost: {error}; trying again until it is back", self.settings);
        self.health.trouble(Obstacle::Database, what);
        outage.wait().await;
    }

    /// Inserts all rows but those that the table refuses: O(k log n) statements for k of them.
    ///
    /// # Errors
    /// [`GivenUp`]; some of the rows may be in the table.
    pub async fn store(&mut self, rows: &[&OrderRow], outage: &mut Outage<'_>) -> Result<Stored, GivenUp> {
        let mut stored = Stored::default();
        let mut to_do: Vec<Range<usize>> = Vec::new();
        if !rows.is_empty() {
            to_do.push(0..rows.len());
        }
        while let Some(range) = to_do.pop() {
            let insert = InsertOrders::of(&rows[range.clone()]);
            let client = self.connected(outage).await?;
            let result = outage.unless_abandoned(client.execute(&insert)).await?;
            match self.answered(result, outage).await {
                None => to_do.push(range),
                Some(Ok(inserted)) => stored.inserted += inserted,
                Some(Err(error)) if range.len() > 1 => {
                    tracing::debug!(%error, rows = range.len(), "halving a batch");
                    let middle = range.start + range.len() / 2;
                    to_do.push(middle..range.end);
                    to_do.push(range.start..middle);
                }
                Some(Err(error)) if Failure::of(&error) == Failure::Data => stored.refused.push((range.start, error)),
                // Too long for a single row is no fault of the row.
                Some(Err(error)) => {
                    self.lost(error.to_string(), outage).await;
                    to_do.push(range);
                }
            }
        }
        Ok(stored)
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
