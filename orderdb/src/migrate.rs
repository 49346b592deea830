//! The schema's versions: apply, take back, look.

use anyhow::{Context, anyhow, ensure};
use comfy_table::Table;
use diesel::{
    QueryableByName,
    migration::{Migration, MigrationSource},
    pg::Pg,
    sql_types::{BigInt, Bool},
};
use diesel_async::{AsyncMigrationHarness, AsyncPgConnection, RunQueryDsl};
use diesel_migrations::MigrationHarness;
use shared::{
    confirm::YesDestroy,
    database::{DatabaseSettings, connect_diesel, migrations::MIGRATIONS},
    program::Outcome,
};

use crate::settings::MigrateAction;

type Harness = AsyncMigrationHarness<AsyncPgConnection>;

/// Does what was asked for.
///
/// # Errors
/// When the database can't be reached or a migration fails; each migration is one transaction.
pub async fn migrate(action: MigrateAction, database: &DatabaseSettings) -> anyhow::Result<Outcome> {
    let connection = connect_diesel(database).await?;
    match action {
        MigrateAction::Up => up(connection).await,
        MigrateAction::Down(yes) => down(connection, database, &yes).await,
        MigrateAction::Status => blocking(connection, status).await,
    }
}

/// Diesel's migrations block, so they run where they hold nobody else up.
async fn blocking(
    connection: AsyncPgConnection,
    work: impl FnOnce(&mut Harness) -> anyhow::Result<Outcome> + Send + 'static,
) -> anyhow::Result<Outcome> {
    tokio::task::spawn_blocking(move || work(&mut Harness::new(connection))).await?
}

/// Applies every migration that is missing.
///
/// # Errors
/// When one fails.
pub async fn up(connection: AsyncPgConnection) -> anyhow::Result<Outcome> {
    let apply = |harness: &mut Harness| {
        let applied =
            harness.run_pending_migrations(MIGRATIONS).map_err(|error| anyhow!("a migration failed: {error}"))?;
        match applied.as_slice() {
            [] => println!("nothing to do: the schema is up to date"),
            applied => applied.iter().for_each(|version| println!("applied {version}")),
        }
        Ok(Outcome::Valid)
    };
    blocking(connection, apply).await
}

#[derive(QueryableByName)]
struct Tables {
    #[diesel(sql_type = Bool)]
    there: bool,
    /// Only the first migration is applied: taking it back drops every row.
    #[diesel(sql_type = Bool)]
    last: bool,
}

#[derive(QueryableByName)]
struct Rows {
    #[diesel(sql_type = BigInt)]
    users: i64,
    #[diesel(sql_type = BigInt)]
    products: i64,
    #[diesel(sql_type = BigInt)]
    orders: i64,
}

async fn down(
    mut connection: AsyncPgConnection,
    database: &DatabaseSettings,
    yes: &YesDestroy,
) -> anyhow::Result<Outcome> {
    let query = "SELECT to_regclass('users') IS NOT NULL AS there, to_regclass('cache_rounds') IS NULL AS last";
    let tables: Tables = diesel::sql_query(query).get_result(&mut connection).await?;
    ensure!(tables.there, "nothing to take back: database {database} does not have our tables");
    if tables.last {
        let query = "SELECT (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM products) AS products, (SELECT count(*) FROM orders) AS orders";
        let rows: Rows =
            diesel::sql_query(query).get_result(&mut connection).await.context("the tables can't be read")?;
        if rows.users + rows.products + rows.orders > 0 {
            let Rows { users, products, orders } = rows;
            yes.confirm(
                database,
                &format!("This drops the tables with {users} users, {products} products and {orders} orders"),
            )?;
        }
    }
    let revert = |harness: &mut Harness| {
        let reverted = harness.revert_last_migration(MIGRATIONS);
        println!("took back {}", reverted.map_err(|error| anyhow!("the migration can't be taken back: {error}"))?);
        Ok(Outcome::Valid)
    };
    blocking(connection, revert).await
}

fn status(harness: &mut Harness) -> anyhow::Result<Outcome> {
    let pending =
        harness.pending_migrations(MIGRATIONS).map_err(|error| anyhow!("the migrations can't be compared: {error}"))?;
    let missing: Vec<String> = pending.iter().map(|migration| migration.name().to_string()).collect();
    let all: Vec<Box<dyn Migration<Pg>>> =
        MIGRATIONS.migrations().map_err(|error| anyhow!("the migrations can't be read: {error}"))?;
    let mut table = Table::new();
    table.load_style(comfy_table::presets::UTF8_FULL_CONDENSED).set_header(["migration", "state"]);
    for migration in &all {
        let name = migration.name().to_string();
        let state = if missing.contains(&name) { "missing" } else { "applied" };
        table.add_row([name.as_str(), state]);
    }
    println!("{table}");
    Ok(if missing.is_empty() { Outcome::Valid } else { Outcome::Invalid })
}
