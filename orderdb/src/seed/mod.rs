//! Fills `users` and `products` with the synthetic catalog of a seed value ([`insert`]). [`live`] then adds and changes
//! rows until it is stopped.

pub mod insert;
pub mod live;

use anyhow::Context;
use diesel::{QueryDsl, dsl::exists, select};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use shared::{
    catalog::{SyntheticProducts, SyntheticUsers},
    database::{
        DatabaseSettings, connect_diesel,
        migrations::require_tables,
        schema::{products, users},
    },
};

use self::insert::{insert_products, insert_users};
use crate::settings::SeedSettings;

/// Fills the tables; a row whose id exists stays unchanged.
///
/// # Errors
/// When the database can't be reached, lacks the tables, or refuses a row.
pub async fn seed(settings: &SeedSettings, database: &DatabaseSettings) -> anyhow::Result<()> {
    require_tables(database).await?;
    let mut connection = connect_diesel(database).await?;
    if settings.if_empty && has_users_and_products(&mut connection).await? {
        println!("{database} already has users and products: nothing was inserted");
        return Ok(());
    }
    let users = SyntheticUsers::new(settings.seed_value, settings.locale).take(settings.users as usize);
    let new_users = insert_users(&mut connection, users, settings.users).await?;
    let products = SyntheticProducts::new(settings.seed_value).take(settings.products as usize);
    let new_products = insert_products(&mut connection, products, settings.products).await?;
    // Until then, the planner uses the statistics of the empty tables.
    diesel::sql_query("ANALYZE users, products")
        .execute(&mut connection)
        .await
        .context("tables users and products can't be analyzed")?;
    println!("inserted {new_users} users and {new_products} products into {database}");
    Ok(())
}

async fn has_users_and_products(connection: &mut AsyncPgConnection) -> anyhow::Result<bool> {
    let user: bool = select(exists(users::table.select(users::user_id))).get_result(connection).await?;
    let product: bool = select(exists(products::table.select(products::product_id))).get_result(connection).await?;
    Ok(user && product)
}
