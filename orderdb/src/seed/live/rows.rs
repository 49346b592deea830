//! Adds rows, and changes one existing row for each.

use std::{fmt, time::Duration};

use anyhow::Context;
use diesel::{
    ExpressionMethods, QueryDsl, QueryResult, QueryableByName, SelectableHelper,
    sql_types::{Array, BigInt, Double, Integer, Text},
};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use shared::{
    catalog::{Product, User, change_product, change_user, product_id, synthetic_product, synthetic_user, user_id},
    database::{
        DatabaseSettings, ProductRow, UserRow, connect_diesel,
        schema::{products, users},
    },
};

use super::schedule::RowSchedule;
use crate::settings::SeedSettings;

/// Timeout of a batch, and of the queries for the last ids of the tables.
const BATCH_TIMEOUT: Duration = Duration::from_secs(30);

const UPDATE_USERS: &str = "UPDATE users u SET region = c.region, age = c.age, age_group = c.age_group \
    FROM UNNEST($1, $2, $3, $4) AS c(user_id, region, age, age_group) WHERE u.user_id = c.user_id";
const UPDATE_PRODUCTS: &str = "UPDATE products p SET price = c.price, discount_rate = c.discount_rate, stock = c.stock \
    FROM UNNEST($1, $2, $3, $4) AS c(product_id, price, discount_rate, stock) WHERE p.product_id = c.product_id";

/// Numbers of rows that a batch added and changed.
#[derive(Clone, Copy, Debug)]
struct ChangeCounts {
    added: usize,
    changed: usize,
}

/// Adds and changes rows of both tables.
pub struct LiveSeed<'a> {
    settings: &'a SeedSettings,
    database: &'a DatabaseSettings,
    /// Closed after a failure, and opened again by the next batch.
    connection: Option<AsyncPgConnection>,
    random: StdRng,
    users: RowSchedule,
    products: RowSchedule,
}

impl<'a> LiveSeed<'a> {
    /// Connects, and continues the ids of both tables.
    ///
    /// # Errors
    /// When the database can't be reached, or does not answer in time.
    pub async fn start(settings: &'a SeedSettings, database: &'a DatabaseSettings) -> anyhow::Result<Self> {
        let mut connection = connect_diesel(database).await?;
        let last_numbers = async {
            let user = last_number(&mut connection, "users", "user_id", 'U').await?;
            let product = last_number(&mut connection, "products", "product_id", 'P').await?;
            anyhow::Ok((user, product))
        };
        let (last_user, last_product) =
            tokio::time::timeout(BATCH_TIMEOUT, last_numbers).await.with_context(|| no_answer(database))??;
        Ok(Self {
            settings,
            database,
            connection: Some(connection),
            // Depends on the last ids, so that a second live seed does not repeat the rows of the first.
            random: StdRng::seed_from_u64(settings.seed_value ^ last_user.rotate_left(32) ^ last_product),
            users: RowSchedule::new(settings.live.users_per_minute, last_user),
            products: RowSchedule::new(settings.live.products_per_minute, last_product),
        })
    }

    /// Adds and changes all rows that are due after `elapsed`, each batch in a transaction.
    ///
    /// # Errors
    /// When the database can't be reached, refuses a row, or does not answer in time. The next call continues.
    pub async fn catch_up(&mut self, elapsed: Duration) -> anyhow::Result<()> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect_diesel(self.database).await?,
        };
        loop {
            let (users, products) = (self.users.next_batch(elapsed), self.products.next_batch(elapsed));
            if users + products == 0 {
                self.connection = Some(connection);
                return Ok(());
            }
            let batch = connection.transaction(async |connection| {
                let user_counts = self.add_and_change_users(users, connection).await?;
                let product_counts = self.add_and_change_products(products, connection).await?;
                QueryResult::Ok((user_counts, product_counts))
            });
            let committed = tokio::time::timeout(BATCH_TIMEOUT, batch).await;
            let (user_counts, product_counts) = committed.with_context(|| no_answer(self.database))??;
            self.users.record(users, user_counts.added, user_counts.changed);
            self.products.record(products, product_counts.added, product_counts.changed);
        }
    }

    async fn add_and_change_users(
        &mut self,
        count: u64,
        connection: &mut AsyncPgConnection,
    ) -> QueryResult<ChangeCounts> {
        let (first, today) = (self.users.last_number + 1, chrono::Utc::now().date_naive());
        let new: Vec<UserRow> = (first..first + count)
            .map(|number| synthetic_user(&mut self.random, number, self.settings.locale, today).into())
            .collect();
        let added = diesel::insert_into(users::table).values(&new).on_conflict_do_nothing().execute(connection).await?;
        let ids: Vec<String> = self.random_numbers(count, self.users.last_number).map(user_id).collect();
        // Locked in the same order as by the cache-worker, so that the two never deadlock.
        let rows = users::table.filter(users::user_id.eq_any(ids)).order(users::user_id).for_no_key_update();
        let rows: Vec<UserRow> = rows.select(UserRow::as_select()).load(connection).await?;
        let changed: Vec<User> = rows.into_iter().map(|row| change_user(&mut self.random, row.into())).collect();
        Ok(ChangeCounts { added, changed: update_users(&changed, connection).await? })
    }

    async fn add_and_change_products(
        &mut self,
        count: u64,
        connection: &mut AsyncPgConnection,
    ) -> QueryResult<ChangeCounts> {
        let first = self.products.last_number + 1;
        let new: Vec<ProductRow> =
            (first..first + count).map(|number| synthetic_product(&mut self.random, number).into()).collect();
        let added =
            diesel::insert_into(products::table).values(&new).on_conflict_do_nothing().execute(connection).await?;
        let ids: Vec<String> = self.random_numbers(count, self.products.last_number).map(product_id).collect();
        // Locked in the same order as by the cache-worker, as the users.
        let rows = products::table.filter(products::product_id.eq_any(ids)).order(products::product_id);
        let rows: Vec<ProductRow> = rows.for_no_key_update().select(ProductRow::as_select()).load(connection).await?;
        let changed: Vec<Product> = rows.into_iter().map(|row| change_product(&mut self.random, row.into())).collect();
        Ok(ChangeCounts { added, changed: update_products(&changed, connection).await? })
    }

    /// `count` numbers from 1 to `last`, or none when `last` is 0.
    fn random_numbers(&mut self, count: u64, last: u64) -> impl Iterator<Item = u64> + use<'_, 'a> {
        let count = if last == 0 { 0 } else { count };
        (0..count).map(move |_| self.random.random_range(1..=last))
    }
}

impl fmt::Display for LiveSeed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (users, products) = (self.users, self.products);
        write!(f, "{} users and {} products added, ", users.added, products.added)?;
        write!(f, "{} users and {} products changed", users.changed, products.changed)
    }
}

async fn update_users(changed: &[User], connection: &mut AsyncPgConnection) -> QueryResult<usize> {
    let texts = |text: fn(&User) -> &str| changed.iter().map(text).collect::<Vec<_>>();
    diesel::sql_query(UPDATE_USERS)
        .bind::<Array<Text>, _>(texts(|user| user.user_id.as_str()))
        .bind::<Array<Text>, _>(texts(|user| &user.region))
        .bind::<Array<Integer>, _>(changed.iter().map(|user| user.age).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(texts(|user| &user.age_group))
        .execute(connection)
        .await
}

async fn update_products(changed: &[Product], connection: &mut AsyncPgConnection) -> QueryResult<usize> {
    let numbers = |number: fn(&Product) -> i32| changed.iter().map(number).collect::<Vec<_>>();
    let ids: Vec<&str> = changed.iter().map(|product| product.product_id.as_str()).collect();
    let rates: Vec<f64> = changed.iter().map(|product| product.discount_rate).collect();
    diesel::sql_query(UPDATE_PRODUCTS)
        .bind::<Array<Text>, _>(ids)
        .bind::<Array<Integer>, _>(numbers(|product| product.price))
        .bind::<Array<Double>, _>(rates)
        .bind::<Array<Integer>, _>(numbers(|product| product.stock))
        .execute(connection)
        .await
}

#[derive(QueryableByName)]
struct LastNumber {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// The greatest number in an id of the form that a seed creates: `letter`, then digits.
async fn last_number(connection: &mut AsyncPgConnection, table: &str, id: &str, letter: char) -> anyhow::Result<u64> {
    let query = format!(
        "SELECT coalesce(max(substring({id} FROM 2)::bigint), 0) AS number FROM {table} \
         WHERE {id} ~ '^{letter}[0-9]{{1,18}}$'"
    );
    let last: LastNumber =
        diesel::sql_query(query).get_result(connection).await.with_context(|| format!("{table} can't be read"))?;
    Ok(last.number.unsigned_abs())
}

fn no_answer(database: &DatabaseSettings) -> String {
    format!("no answer from {database} within {} s", BATCH_TIMEOUT.as_secs())
}
