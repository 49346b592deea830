//! Fills `users` and `products` with rows that look real: [`people`] and [`goods`] make them up, repeatably; [`live`] keeps on
//! adding and changing some.

mod draw;
mod goods;
pub mod live;
mod names;
mod people;
mod population;
mod shelves;

use anyhow::Context;
use chrono::NaiveDate;
use diesel::{QueryDsl, dsl::exists, select};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rand::{SeedableRng, rngs::StdRng};
use shared::database::{
    DatabaseSettings, ProductRow, UserRow, connect_diesel,
    migrations::require_tables,
    schema::{products, users},
};

pub use self::people::Locale;
use crate::settings::SeedSettings;

/// Rows an insert: far below the 65,535 values that a statement may bind.
const BATCH: usize = 1_000;

/// Nobody joins after this day, so that a seed value gives the same rows whenever it is used.
const TODAY: NaiveDate = NaiveDate::from_ymd_opt(2026, 1, 1).expect("a day of the calendar");

/// Fills the tables; a row whose id is there already stays as it is.
///
/// # Errors
/// When the database can't be reached, lacks the tables, or refuses a row.
pub async fn seed(settings: &SeedSettings, database: &DatabaseSettings) -> anyhow::Result<()> {
    require_tables(database).await?;
    let mut connection = connect_diesel(database).await?;
    if settings.if_empty && both_have_rows(&mut connection).await? {
        println!("{database} has users and products already");
        return Ok(());
    }
    let mut random = StdRng::seed_from_u64(settings.seed_value);
    let bar = progress(settings.users, "users");
    let mut new_users = 0;
    for batch in batches(settings.users) {
        let rows: Vec<UserRow> = batch.map(|n| people::user(&mut random, n, settings.locale, TODAY).into()).collect();
        let insert = diesel::insert_into(users::table).values(&rows).on_conflict_do_nothing();
        new_users += insert.execute(&mut connection).await.context("users can't be inserted")?;
        bar.inc(rows.len() as u64);
    }
    bar.finish();

    // A generator of its own, so that the products don't depend on the number of users.
    let mut random = StdRng::seed_from_u64(settings.seed_value.wrapping_add(1));
    let bar = progress(settings.products, "products");
    let mut new_products = 0;
    for batch in batches(settings.products) {
        let rows: Vec<ProductRow> = batch.map(|n| goods::product(&mut random, n).into()).collect();
        let insert = diesel::insert_into(products::table).values(&rows).on_conflict_do_nothing();
        new_products += insert.execute(&mut connection).await.context("products can't be inserted")?;
        bar.inc(rows.len() as u64);
    }
    bar.finish();
    // The planner's picture of a table that was empty a moment ago is wrong until it is analysed.
    diesel::sql_query("ANALYZE users, products")
        .execute(&mut connection)
        .await
        .context("the tables can't be analysed")?;
    println!("seeded {database}: {new_users} users and {new_products} products are new");
    Ok(())
}

async fn both_have_rows(connection: &mut AsyncPgConnection) -> anyhow::Result<bool> {
    let user: bool = select(exists(users::table.select(users::user_id))).get_result(connection).await?;
    let product: bool = select(exists(products::table.select(products::product_id))).get_result(connection).await?;
    Ok(user && product)
}

fn batches(rows: u64) -> impl Iterator<Item = std::ops::RangeInclusive<u64>> {
    (1..=rows).step_by(BATCH).map(move |first| first..=rows.min(first + BATCH as u64 - 1))
}

fn progress(rows: u64, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:>9} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}")
        .expect("the template is a valid one");
    ProgressBar::with_draw_target(Some(rows), ProgressDrawTarget::stderr()).with_style(style).with_message(what)
}
