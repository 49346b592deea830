//! Orders by hand.

use anyhow::{Context, anyhow, bail, ensure};
use chrono::{DateTime, SubsecRound, Utc};
use diesel::{ExpressionMethods, QueryDsl, SelectableHelper, dsl::count_star, sql_query, sql_types::Text};
use shared::{
    catalog::{Product, User},
    database::{
        Order, SqlError, StatementClient,
        schema::{order_events, orders},
    },
    lookup::{LookupRow, OrderField, select_rows},
    order::{PaymentMethod, shipping_cost},
    order_id::OrderId,
};

use super::{
    status::next_status,
    table::{After, RowQuery, Table},
};
use crate::settings::{CreateOrder, OrderChange, OrderFilter, OrderValues};

/// An order that was not changed has no rows: its own status is number 0.
const HISTORY: &str = "SELECT COALESCE(e.sequence, 0) AS sequence, COALESCE(e.status, o.status) AS status, \
     COALESCE(e.reason, '') AS reason, COALESCE(e.occurred_at, o.created_at) AS occurred_at \
     FROM orders o LEFT JOIN order_events e USING (order_id) WHERE o.order_id = $1 ORDER BY 1";

impl Table for Order {
    type Create = CreateOrder;
    type Filter = OrderFilter;
    type Change = OrderChange;
    type Field = OrderField;

    const BRIEF: &'static [&'static str] =
        &["order_id", "user_id", "product_id", "quantity", "total_amount", "status", "created_at"];

    async fn insert(create: &CreateOrder, client: &mut StatementClient) -> anyhow::Result<Self> {
        let user: User = existing(client, &create.user, "--user").await?;
        let product: Product = existing(client, &create.product, "--product").await?;
        let order = filled_in(create, user, product, now(client).await?)?;
        let id = order.order_id.clone();
        let insert = diesel::insert_into(orders::table)
            .values(order)
            .on_conflict(orders::order_id)
            .do_nothing()
            .returning(Self::as_select());
        let inserted = client.query(&insert).await?;
        let inserted = inserted.first().map(Self::from);
        inserted.ok_or_else(|| anyhow!("there is an order {id} already: orderdb order update changes it"))
    }

    async fn apply(&mut self, change: &OrderChange, client: &mut StatementClient) -> anyhow::Result<()> {
        change.values.apply(self);
        self.updated_at = now(client).await?;
        let Some(status) = change.status else { return Ok(()) };
        let status = next_status(&self.order_id, &self.status, status)?.as_str();
        let row = |sequence, status: &str, reason: &str, at: DateTime<Utc>| {
            (
                order_events::order_id.eq(self.order_id.clone()),
                order_events::sequence.eq(sequence),
                order_events::status.eq(status.to_owned()),
                order_events::reason.eq(reason.to_owned()),
                order_events::occurred_at.eq(at),
            )
        };
        let sequence = self.status_sequence + 1;
        let mut rows = vec![row(sequence, status, &change.reason, self.updated_at)];
        if sequence == 1 {
            rows.push(row(0, &self.status, "", self.created_at));
        }
        client.execute(&diesel::insert_into(order_events::table).values(rows)).await?;
        (self.status, self.status_sequence) = (status.to_owned(), sequence);
        Ok(())
    }

    fn select_locked(id: &str) -> impl RowQuery {
        orders::table.find(id.to_owned()).select(Self::as_select()).for_no_key_update()
    }

    fn update(self) -> impl RowQuery {
        let id = self.order_id.clone();
        diesel::update(orders::table.find(id)).set(self).returning(Self::as_select())
    }

    fn delete(ids: &[String]) -> impl RowQuery {
        diesel::delete(orders::table.filter(orders::order_id.eq_any(ids.to_vec()))).returning(Self::as_select())
    }

    fn references(_: &[String]) -> Option<impl RowQuery> {
        None::<diesel::dsl::Select<orders::table, count_star>>
    }

    fn history_size(ids: &[String]) -> Option<impl RowQuery> {
        Some(order_events::table.filter(order_events::order_id.eq_any(ids.to_vec())).select(count_star()))
    }

    fn history(id: &str) -> Option<impl RowQuery> {
        Some(sql_query(HISTORY).bind::<Text, _>(id.to_owned()))
    }

    fn page(filter: &OrderFilter, after: Option<After>, limit: i64) -> impl RowQuery {
        let OrderFilter { user, product, status, since, until } = filter;
        let mut page = orders::table.select(Self::as_select()).into_boxed();
        if let Some(user) = user {
            page = page.filter(orders::user_id.eq(user.clone()));
        }
        if let Some(product) = product {
            page = page.filter(orders::product_id.eq(product.clone()));
        }
        if let Some(status) = status {
            page = page.filter(orders::status.eq(status.as_str()));
        }
        if let Some(since) = *since {
            page = page.filter(orders::created_at.ge(since));
        }
        if let Some(until) = *until {
            page = page.filter(orders::created_at.lt(until));
        }
        if let Some(After { id, .. }) = after {
            page = page.filter(orders::order_id.lt(id));
        }
        // The ids begin with the time, and they have an index, which the times of this largest table do not have.
        page.order(orders::order_id.desc()).limit(limit)
    }

    fn created_at(id: &str) -> impl RowQuery {
        orders::table.find(id.to_owned()).select(orders::created_at)
    }
}

/// The time of the transaction by the clock of the database, as its default for a new row.
async fn now(client: &mut StatementClient) -> Result<DateTime<Utc>, SqlError> {
    Ok(client.query_one(&sql_query("SELECT now()")).await?.get(0))
}

/// The row of `id`. It is not locked: the foreign key refuses the order if it is deleted meanwhile.
async fn existing<Row: LookupRow>(client: &mut StatementClient, id: &str, flag: &str) -> anyhow::Result<Row> {
    let rows = select_rows::<Row>(client, vec![id]).await?;
    let (what, id) = (Row::WHAT, id.to_owned());
    rows.into_iter().next().with_context(|| format!("{flag}: there is no {what} {id}"))
}

/// The order of `user` for `product`, with the values that are given.
fn filled_in(create: &CreateOrder, user: User, product: Product, now: DateTime<Utc>) -> anyhow::Result<Order> {
    let values = &create.values;
    let quantity = values.quantity.unwrap_or(1);
    let goods = i64::from(product.price) * i64::from(quantity);
    let discount = values.discount_amount.unwrap_or(0);
    let to_pay = goods - i64::from(discount);
    if to_pay < 0 && values.total_amount.is_none() {
        bail!(
            "--discount-amount {discount} is more than {quantity} × {}, the price of {}",
            product.price,
            product.name
        );
    }
    let shipping = values.shipping_cost.unwrap_or_else(|| shipping_cost(i32::try_from(to_pay).unwrap_or(i32::MAX)));
    let total = values.total_amount.map_or(to_pay + i64::from(shipping), i64::from);
    ensure!(
        total <= i64::from(i32::MAX),
        "--quantity {quantity} makes the total {total}: the table accepts at most {}",
        i32::MAX
    );
    // The table has microseconds.
    let created_at: DateTime<Utc> = create.created_at.unwrap_or_else(Utc::now).trunc_subsecs(6);
    let mut order = Order {
        order_id: create.id.clone().unwrap_or_else(|| OrderId::of_no_run(created_at).to_string()),
        user_id: user.user_id.to_string(),
        product_id: product.product_id.to_string(),
        quantity,
        total_amount: i32::try_from(total)?,
        shipping_cost: shipping,
        discount_amount: discount,
        payment_method: PaymentMethod::Card.as_str().to_owned(),
        status: create.status.as_str().to_owned(),
        category: product.category,
        user_region: user.region,
        user_gender: user.gender,
        user_age_group: user.age_group,
        created_at,
        status_sequence: 0,
        updated_at: now,
    };
    values.apply(&mut order);
    Ok(order)
}

impl OrderValues {
    /// Overwrites the columns that are given.
    fn apply(&self, order: &mut Order) {
        for (column, value) in [
            (&mut order.quantity, self.quantity),
            (&mut order.total_amount, self.total_amount),
            (&mut order.shipping_cost, self.shipping_cost),
            (&mut order.discount_amount, self.discount_amount),
        ] {
            *column = value.unwrap_or(*column);
        }
        for (column, value) in [
            (&mut order.payment_method, &self.payment_method),
            (&mut order.category, &self.category),
            (&mut order.user_region, &self.user_region),
            (&mut order.user_gender, &self.user_gender),
            (&mut order.user_age_group, &self.user_age_group),
        ] {
            if let Some(value) = value {
                column.clone_from(value);
            }
        }
    }
}
