//! Keeps adding and changing rows at a steady pace, so that a long run has something to age.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use diesel::{ExpressionMethods, QueryDsl, QueryResult, QueryableByName, SelectableHelper, sql_types};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use shared::{
    catalog::{Product, User, change_product, change_user, product_id, synthetic_product, synthetic_user, user_id},
    database::{
        DatabaseSettings, ProductRow, UserRow, connect_diesel,
        schema::{products, users},
    },
    retry::Backoff,
};
use tokio_util::sync::CancellationToken;

use super::BATCH;
use crate::settings::SeedSettings;

/// Time between two looks at what is due.
const TICK: Duration = Duration::from_secs(1);
/// Time between two lines where there is no terminal.
const LINE: Duration = Duration::from_secs(10);
/// Longest time that a batch may take, or finding the last numbers of long tables.
const DEADLINE: Duration = Duration::from_secs(30);

/// Rows of one table: those that were due and done with, and what became of them.
#[derive(Clone, Copy, Debug, Default)]
struct Rows {
    a_minute: u32,
    /// Number of the last row; what is changed is one up to it.
    last: u64,
    done: u64,
    /// Really new: another seed may have been faster with a number.
    added: u64,
    changed: u64,
}

impl Rows {
    /// How many are to be added now, at most a batch.
    fn missing(&self, elapsed: Duration) -> u64 {
        due(elapsed, self.a_minute).saturating_sub(self.done).min(BATCH as u64)
    }

    fn take(&mut self, rows: u64, added: usize, changed: usize) {
        (self.last, self.done) = (self.last + rows, self.done + rows);
        (self.added, self.changed) = (self.added + added as u64, self.changed + changed as u64);
    }
}

/// Whole rows that are due after `elapsed`.
fn due(elapsed: Duration, a_minute: u32) -> u64 {
    (elapsed.as_micros() * u128::from(a_minute) / 60_000_000) as u64
}

struct Growth<'a> {
    settings: &'a SeedSettings,
    random: StdRng,
    users: Rows,
    products: Rows,
}

/// Adds rows until `stop` or for as long as the settings say; for each that is added, another is changed. A database that is
/// lost is waited for, and what became due meanwhile is made up for.
///
/// # Errors
/// When the database can't be reached at the start.
pub async fn grow(settings: &SeedSettings, database: &DatabaseSettings, stop: CancellationToken) -> anyhow::Result<()> {
    let mut connection = Some(connect_diesel(database).await?);
    let beginning = Growth::begin(settings, connection.as_mut().context("it was just opened")?);
    let silent = || format!("no answer from {database} within {DEADLINE:?}");
    let mut growth = tokio::time::timeout(DEADLINE, beginning).await.with_context(silent)??;
    let (started, bar) = (Instant::now(), spinner());
    let (mut ticks, mut backoff, mut last_line) = (tokio::time::interval(TICK), Backoff::start(), started);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let length = settings.live.duration.unwrap_or(Duration::MAX);
    let mut lost = false;
    loop {
        let left = length.saturating_sub(started.elapsed());
        let waited = stop.run_until_cancelled(tokio::time::timeout(left, ticks.tick())).await;
        let elapsed = started.elapsed().min(length);
        let growing = stop.run_until_cancelled(growth.catch_up(elapsed, &mut connection, database)).await;
        let (Some(_), Some(grown)) = (waited, growing) else { break };
        match grown {
            Ok(()) if std::mem::take(&mut lost) => {
                backoff = Backoff::start();
                tracing::info!("rows are added again");
            }
            Ok(()) => {}
            Err(error) => {
                connection = None;
                if !std::mem::replace(&mut lost, true) {
                    tracing::warn!("no rows can be added, which is tried until it succeeds: {error:#}");
                }
                let _ = stop.run_until_cancelled(tokio::time::sleep(backoff.next_delay())).await;
            }
        }
        bar.set_message(growth.to_string());
        if bar.is_hidden() && last_line.elapsed() >= LINE {
            last_line = Instant::now();
            tracing::info!("{growth}");
        }
        if elapsed == length {
            break;
        }
    }
    bar.finish_and_clear();
    println!(
        "{database}: {growth} in {}",
        humantime::format_duration(Duration::from_secs(started.elapsed().as_secs()))
    );
    ensure!(!lost, "the database was lost at the end: rows that were due are missing");
    Ok(())
}

impl<'a> Growth<'a> {
    async fn begin(settings: &'a SeedSettings, connection: &mut AsyncPgConnection) -> anyhow::Result<Self> {
        let rows = |a_minute, last| Rows { a_minute, last, ..Rows::default() };
        let users = rows(settings.live.users_per_minute, last_number(connection, "users", "user_id", 'U').await?);
        let products =
            rows(settings.live.products_per_minute, last_number(connection, "products", "product_id", 'P').await?);
        // Other rows than those of a growth before this one.
        let random = StdRng::seed_from_u64(settings.seed_value ^ users.last.rotate_left(32) ^ products.last);
        Ok(Self { settings, random, users, products })
    }

    /// Adds and changes all that is due after `elapsed`, each batch in a transaction.
    async fn catch_up(
        &mut self,
        elapsed: Duration,
        connection: &mut Option<AsyncPgConnection>,
        database: &DatabaseSettings,
    ) -> anyhow::Result<()> {
        let mut open = match connection.take() {
            Some(connection) => connection,
            None => connect_diesel(database).await?,
        };
        loop {
            let (users, products) = (self.users.missing(elapsed), self.products.missing(elapsed));
            if users + products == 0 {
                *connection = Some(open);
                return Ok(());
            }
            let growing = open.transaction(async |connection| {
                let of_users = self.grow_users(users, connection).await?;
                let of_products = self.grow_products(products, connection).await?;
                diesel::QueryResult::Ok((of_users, of_products))
            });
            let grown = tokio::time::timeout(DEADLINE, growing).await;
            let (of_users, of_products) =
                grown.with_context(|| format!("no answer from {database} within {DEADLINE:?}"))??;
            self.users.take(users, of_users.0, of_users.1);
            self.products.take(products, of_products.0, of_products.1);
        }
    }

    /// How many were new, and how many were changed.
    async fn grow_users(&mut self, count: u64, connection: &mut AsyncPgConnection) -> QueryResult<(usize, usize)> {
        let (first, today) = (self.users.last + 1, chrono::Utc::now().date_naive());
        let new: Vec<UserRow> = (first..first + count)
            .map(|number| synthetic_user(&mut self.random, number, self.settings.locale, today).into())
            .collect();
        let added = diesel::insert_into(users::table).values(&new).on_conflict_do_nothing().execute(connection).await?;
        let ids: Vec<String> = self.some_numbers(count, self.users.last).map(user_id).collect();
        // In the order in which the cache-worker locks its rows, so that the two never deadlock.
        let rows = users::table.filter(users::user_id.eq_any(ids)).order(users::user_id).for_no_key_update();
        let rows: Vec<UserRow> = rows.select(UserRow::as_select()).load(connection).await?;
        let changed: Vec<User> = rows.into_iter().map(|row| change_user(&mut self.random, row.into())).collect();
        let update = "UPDATE users u SET region = c.region, age = c.age, age_group = c.age_group \
                      FROM UNNEST($1, $2, $3, $4) AS c(user_id, region, age, age_group) WHERE u.user_id = c.user_id";
        let texts = |text: fn(&User) -> &str| changed.iter().map(text).collect::<Vec<_>>();
        let updated = diesel::sql_query(update)
            .bind::<sql_types::Array<sql_types::Text>, _>(texts(|user| user.user_id.as_str()))
            .bind::<sql_types::Array<sql_types::Text>, _>(texts(|user| &user.region))
            .bind::<sql_types::Array<sql_types::Integer>, _>(changed.iter().map(|user| user.age).collect::<Vec<_>>())
            .bind::<sql_types::Array<sql_types::Text>, _>(texts(|user| &user.age_group))
            .execute(connection)
            .await?;
        Ok((added, updated))
    }

    async fn grow_products(&mut self, count: u64, connection: &mut AsyncPgConnection) -> QueryResult<(usize, usize)> {
        let first = self.products.last + 1;
        let new: Vec<ProductRow> =
            (first..first + count).map(|number| synthetic_product(&mut self.random, number).into()).collect();
        let added =
            diesel::insert_into(products::table).values(&new).on_conflict_do_nothing().execute(connection).await?;
        let ids: Vec<String> = self.some_numbers(count, self.products.last).map(product_id).collect();
        let rows = products::table.filter(products::product_id.eq_any(ids)).order(products::product_id);
        let rows: Vec<ProductRow> = rows.for_no_key_update().select(ProductRow::as_select()).load(connection).await?;
        let changed: Vec<Product> = rows.into_iter().map(|row| change_product(&mut self.random, row.into())).collect();
        let update = "UPDATE products p SET price = c.price, discount_rate = c.discount_rate, stock = c.stock \
                      FROM UNNEST($1, $2, $3, $4) AS c(product_id, price, discount_rate, stock) WHERE p.product_id = c.product_id";
        let numbers = |number: fn(&Product) -> i32| changed.iter().map(number).collect::<Vec<_>>();
        let rates: Vec<f64> = changed.iter().map(|product| product.discount_rate).collect();
        let updated = diesel::sql_query(update)
            .bind::<sql_types::Array<sql_types::Text>, _>(
                changed.iter().map(|product| product.product_id.as_str()).collect::<Vec<_>>(),
            )
            .bind::<sql_types::Array<sql_types::Integer>, _>(numbers(|product| product.price))
            .bind::<sql_types::Array<sql_types::Double>, _>(rates)
            .bind::<sql_types::Array<sql_types::Integer>, _>(numbers(|product| product.stock))
            .execute(connection)
            .await?;
        Ok((added, updated))
    }

    /// `count` of the numbers from 1 to `last`; none when there are none.
    fn some_numbers(&mut self, count: u64, last: u64) -> impl Iterator<Item = u64> + use<'_, 'a> {
        let count = if last == 0 { 0 } else { count };
        (0..count).map(move |_| self.random.random_range(1..=last))
    }
}

impl std::fmt::Display for Growth<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (users, products) = (self.users, self.products);
        write!(f, "{} users and {} products added, ", users.added, products.added)?;
        write!(f, "{} and {} changed", users.changed, products.changed)
    }
}

#[derive(QueryableByName)]
struct Last {
    #[diesel(sql_type = sql_types::BigInt)]
    number: i64,
}

/// The greatest number in an id that a seed gave.
async fn last_number(connection: &mut AsyncPgConnection, table: &str, id: &str, letter: char) -> anyhow::Result<u64> {
    let query = format!(
        "SELECT coalesce(max(substring({id} FROM 2)::bigint), 0) AS number FROM {table} WHERE {id} ~ '^{letter}[0-9]{{1,18}}$'"
    );
    let last: Last =
        diesel::sql_query(query).get_result(connection).await.with_context(|| format!("{table} can't be read"))?;
    Ok(last.number.unsigned_abs())
}

fn spinner() -> ProgressBar {
    let style =
        ProgressStyle::with_template("{spinner} {elapsed} {msg} (Ctrl-C stops)").expect("the template is valid");
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_kept_to_the_row() {
        for (seconds, a_minute, rows) in
            [(0, 600, 0), (1, 600, 10), (60, 600, 600), (59, 1, 0), (61, 1, 1), (3_600, 7, 420)]
        {
            assert_eq!(due(Duration::from_secs(seconds), a_minute), rows, "{seconds} s at {a_minute} a minute");
        }
        assert_eq!(due(Duration::from_micros(99_999), 600), 0);
        assert_eq!(due(Duration::from_millis(100), 600), 1);
    }

    #[test]
    fn what_was_missed_comes_in_batches() {
        let mut rows = Rows { a_minute: 60_000, last: 5, ..Rows::default() };
        let elapsed = Duration::from_millis(1_500);
        let mut batches = Vec::new();
        while rows.missing(elapsed) > 0 {
            batches.push(rows.missing(elapsed));
            rows.take(rows.missing(elapsed), 0, 0);
        }
        assert_eq!((batches, rows.last), (vec![1_000, 500], 1_505));
    }
}
