//! Fills `users` and `products` with a synthetic catalog; [`live`] then adds and changes rows for as long as it runs.

pub mod live;

use anyhow::Context;
use diesel::{QueryDsl, dsl::exists, select};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use shared::{
    catalog::{SyntheticProducts, SyntheticUsers},
    database::{
        DatabaseSettings, ProductRow, UserRow, connect_diesel,
        migrations::require_tables,
        schema::{products, users},
    },
};

use crate::settings::SeedSettings;

/// Rows an insert: far below the 65,535 values that a statement may bind.
const BATCH: usize = 1_000;

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
    let mut all = SyntheticUsers::new(settings.seed_value, settings.locale);
    let bar = progress(settings.users, "users");
    let mut new_users = 0;
    for batch in batches(settings.users) {
        let rows: Vec<UserRow> = all.by_ref().take(batch).map(UserRow::from).collect();
        let insert = diesel::insert_into(users::table).values(&rows).on_conflict_do_nothing();
        new_users += insert.execute(&mut connection).await.context("users can't be inserted")?;
        bar.inc(rows.len() as u64);
    }
    bar.finish();

    let mut all = SyntheticProducts::new(settings.seed_value);
    let bar = progress(settings.products, "products");
    let mut new_products = 0;
    for batch in batches(settings.products) {
        let rows: Vec<ProductRow> = all.by_ref().take(batch).map(ProductRow::from).collect();
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

/// The sizes of the batches that `rows` rows are inserted in.
fn batches(rows: u64) -> impl Iterator<Item = usize> {
    (0..rows).step_by(BATCH).map(move |first| BATCH.min((rows - first) as usize))
}

fn progress(rows: u64, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:>9} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}")
        .expect("the template is a valid one");
    ProgressBar::with_draw_target(Some(rows), ProgressDrawTarget::stderr()).with_style(style).with_message(what)
}
