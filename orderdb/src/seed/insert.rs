//! Inserts users and products in batches. A row whose id exists stays unchanged.

use anyhow::Context;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use shared::{
    catalog::{Product, User},
    database::{
        ProductRow, StatementDeadline, UserRow,
        schema::{products, users},
    },
};

/// Rows per statement. A statement may bind at most 65,535 values.
pub const BATCH_ROWS: usize = 1_000;

/// Inserts `users`, of which there are `total`, and returns how many are new.
///
/// # Errors
/// When the database refuses a row or does not answer.
pub async fn insert_users(
    connection: &mut AsyncPgConnection,
    users: impl Iterator<Item = User>,
    total: u64,
    deadline: &StatementDeadline,
) -> anyhow::Result<usize> {
    let bar = progress_bar(total, "users");
    let mut rows = users.map(UserRow::from);
    let mut inserted = 0;
    loop {
        let batch: Vec<UserRow> = rows.by_ref().take(BATCH_ROWS).collect();
        if batch.is_empty() {
            bar.finish();
            return Ok(inserted);
        }
        let insert = diesel::insert_into(users::table).values(&batch).on_conflict_do_nothing();
        inserted += deadline.run(insert.execute(connection)).await?.context("users can't be inserted")?;
        bar.inc(batch.len() as u64);
    }
}

/// Inserts `products`, of which there are `total`, and returns how many are new.
///
/// # Errors
/// When the database refuses a row or does not answer.
pub async fn insert_products(
    connection: &mut AsyncPgConnection,
    products: impl Iterator<Item = Product>,
    total: u64,
    deadline: &StatementDeadline,
) -> anyhow::Result<usize> {
    let bar = progress_bar(total, "products");
    let mut rows = products.map(ProductRow::from);
    let mut inserted = 0;
    loop {
        let batch: Vec<ProductRow> = rows.by_ref().take(BATCH_ROWS).collect();
        if batch.is_empty() {
            bar.finish();
            return Ok(inserted);
        }
        let insert = diesel::insert_into(products::table).values(&batch).on_conflict_do_nothing();
        inserted += deadline.run(insert.execute(connection)).await?.context("products can't be inserted")?;
        bar.inc(batch.len() as u64);
    }
}

fn progress_bar(total: u64, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:>9} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}")
        .expect("the template is valid");
    ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr()).with_style(style).with_message(what)
}
