//! Applies and reverts the schema's migrations, and lists them.

use anyhow::{Context, anyhow, ensure};
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
    report::table,
};

use crate::settings::MigrateAction;

type Harness = AsyncMigrationHarness<AsyncPgConnection>;

/// Runs `action`.
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

/// Runs Diesel's blocking migrations on a blocking thread.
async fn blocking(
    connection: AsyncPgConnection,
    work: impl FnOnce(&mut Harness) -> anyhow::Result<Outcome> + Send + 'static,
) -> anyhow::Result<Outcome> {
    tokio::task::spawn_blocking(move || work(&mut Harness::new(connection))).await?
}

/// Applies every migration that is missing.
///
/// # Errors
/// When a migration fails.
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
    exist: bool,
    /// Only the first migration is applied. Reverting it drops every table.
    #[diesel(sql_type = Bool)]
    only_first: bool,
}

#[derive(QueryableByName)]
struct TableSizes {
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
    let query = "SELECT to_regclass('users') IS NOT NULL AS exist, to_regclass('cache_rounds') IS NULL AS only_first";
    let tables: Tables = diesel::sql_query(query).get_result(&mut connection).await?;
    ensure!(tables.exist, "nothing to revert: database {database} has no orderflow tables");
    if tables.only_first {
        let query = "SELECT (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM products) AS products, \
                     (SELECT count(*) FROM orders) AS orders";
        let rows: TableSizes =
            diesel::sql_query(query).get_result(&mut connection).await.context("the tables can't be read")?;
        if rows.users + rows.products + rows.orders > 0 {
            let TableSizes { users, products, orders } = rows;
            yes.confirm(
                database,
                &format!("This drops the tables with {users} users, {products} products and {orders} orders"),
            )?;
        }
    }
    let revert = |harness: &mut Harness| {
        let reverted = harness.revert_last_migration(MIGRATIONS);
        println!("reverted {}", reverted.map_err(|error| anyhow!("the migration can't be reverted: {error}"))?);
        Ok(Outcome::Valid)
    };
    blocking(connection, revert).await
}

fn status(harness: &mut Harness) -> anyhow::Result<Outcome> {
    let pending = harness
        .pending_migrations(MIGRATIONS)
        .map_err(|error| anyhow!("the applied migrations can't be read: {error}"))?;
    let missing: Vec<String> = pending.iter().map(|migration| migration.name().to_string()).collect();
    let all: Vec<Box<dyn Migration<Pg>>> =
        MIGRATIONS.migrations().map_err(|error| anyhow!("the embedded migrations can't be read: {error}"))?;
    let mut states = table(["migration", "state"]);
    for migration in &all {
        let name = migration.name().to_string();
        let state = if missing.contains(&name) { "missing" } else { "applied" };
        states.add_row([name.as_str(), state]);
    }
    println!("{states}");
    Ok(if missing.is_empty() { Outcome::Valid } else { Outcome::Invalid })
}
