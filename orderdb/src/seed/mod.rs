//! Fills `users` and `products` with the rows of a [`catalog_file`] or with synthetic ones ([`insert`]). [`live`] then
//! adds and changes rows until it is stopped.

pub mod catalog_file;
pub mod insert;
pub mod live;

use anyhow::Context;
use diesel::{QueryDsl, dsl::exists, select};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use shared::{
    catalog::{SyntheticProducts, SyntheticUsers},
    database::{
        DatabaseSettings, StatementDeadline, connect_diesel,
        migrations::require_tables,
        schema::{products, users},
    },
};

use self::{
    catalog_file::{CatalogRows, read_catalog},
    insert::{insert_products, insert_users},
};
use crate::settings::SeedSettings;

/// New rows.
struct Inserted {
    users: usize,
    products: usize,
}

/// Fills the tables; a row whose id exists stays unchanged.
///
/// # Errors
/// When the catalog file is not valid, or the database can't be reached, does not answer in time, lacks the tables, or
/// refuses a row.
pub async fn seed(settings: &SeedSettings, database: &DatabaseSettings) -> anyhow::Result<()> {
    // Read even if nothing will be inserted, so that a program that writes to this one's standard input does not fail.
    let catalog = match settings.catalog.clone() {
        Some(file) => Some(tokio::task::spawn_blocking(move || read_catalog(&file)).await??),
        None => None,
    };
    require_tables(database).await?;
    let mut connection = connect_diesel(database).await?;
    let deadline = StatementDeadline::new(database, &connection, settings.statement_deadline);
    if settings.if_empty && deadline.run(has_users_and_products(&mut connection)).await?? {
        println!("{database} already has users and products: nothing was inserted");
        return Ok(());
    }
    let inserted = match catalog {
        Some(catalog) => insert_catalog(catalog, &mut connection, &deadline).await?,
        None => insert_synthetic(settings, &mut connection, &deadline).await?,
    };
    // Until then, the planner uses the statistics of the empty tables.
    let analyze = diesel::sql_query("ANALYZE users, products");
    deadline.run(analyze.execute(&mut connection)).await?.context("tables users and products can't be analyzed")?;
    println!("inserted {} users and {} products into {database}", inserted.users, inserted.products);
    Ok(())
}

/// Inserts all rows of a file or, when the database refuses one, none: the server rolls back at the end of the
/// connection.
async fn insert_catalog(
    catalog: CatalogRows,
    connection: &mut AsyncPgConnection,
    deadline: &StatementDeadline,
) -> anyhow::Result<Inserted> {
    let CatalogRows { users, products } = catalog;
    let (user_count, product_count) = (users.len() as u64, products.len() as u64);
    deadline.run(connection.batch_execute("BEGIN")).await??;
    let users = insert_users(connection, users.into_iter(), user_count, deadline).await?;
    let products = insert_products(connection, products.into_iter(), product_count, deadline).await?;
    deadline.run(connection.batch_execute("COMMIT")).await??;
    Ok(Inserted { users, products })
}

async fn insert_synthetic(
    settings: &SeedSettings,
    connection: &mut AsyncPgConnection,
    deadline: &StatementDeadline,
) -> anyhow::Result<Inserted> {
    let users = SyntheticUsers::new(settings.seed_value, settings.locale).take(settings.users as usize);
    let users = insert_users(connection, users, settings.users, deadline).await?;
    let products = SyntheticProducts::new(settings.seed_value).take(settings.products as usize);
    let products = insert_products(connection, products, settings.products, deadline).await?;
    Ok(Inserted { users, products })
}

async fn has_users_and_products(connection: &mut AsyncPgConnection) -> anyhow::Result<bool> {
    let user: bool = select(exists(users::table.select(users::user_id))).get_result(connection).await?;
    let product: bool = select(exists(products::table.select(products::product_id))).get_result(connection).await?;
    Ok(user && product)
}
