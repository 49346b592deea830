//! The schema's versions: apply, take back, look.

use anyhow::{Context, anyhow, ensure};
use comfy_table::Table;
use diesel::{
    QueryableByName,
    migration::{Migration, MigrationSource},
    pg::Pg,
    sql_types::Bool,
};
use diesel_async::{AsyncMigrationHarness, AsyncPgConnection, RunQueryDsl};
use diesel_migrations::MigrationHarness;
use shared::{
    database::{DatabaseSettings, connect_diesel, migrations::MIGRATIONS},
    program::Outcome,
};

use crate::settings::MigrateAction;

/// Does what was asked for.
///
/// # Errors
/// When the database can't be reached or a migration fails; each migration is one transaction.
pub async fn migrate(action: MigrateAction, database: &DatabaseSettings) -> anyhow::Result<Outcome> {
    let connection = connect_diesel(database).await?;
    match action {
        MigrateAction::Up => up(connection),
        MigrateAction::Down { yes_destroy } => down(connection, database, yes_destroy.as_deref()).await,
        MigrateAction::Status => status(connection),
    }
}

/// Applies every migration that is missing.
///
/// # Errors
/// When one fails.
pub fn up(connection: AsyncPgConnection) -> anyhow::Result<Outcome> {
    let mut harness = AsyncMigrationHarness::new(connection);
    let applied = harness.run_pending_migrations(MIGRATIONS).map_err(|error| anyhow!("a migration failed: {error}"))?;
    match applied.as_slice() {
        [] => println!("nothing to do: the schema is up to date"),
        applied => applied.iter().for_each(|version| println!("applied {version}")),
    }
    Ok(Outcome::Valid)
}

#[derive(QueryableByName)]
struct HasRows {
    #[diesel(sql_type = Bool)]
    has_rows: bool,
}

async fn down(
    mut connection: AsyncPgConnection,
    database: &DatabaseSettings,
    yes_destroy: Option<&str>,
) -> anyhow::Result<Outcome> {
    let tables: HasRows =
        diesel::sql_query("SELECT to_regclass('users') IS NOT NULL AS has_rows").get_result(&mut connection).await?;
    ensure!(tables.has_rows, "nothing to take back: database {database} does not have our tables");
    let query =
        "SELECT EXISTS (SELECT FROM users) OR EXISTS (SELECT FROM products) OR EXISTS (SELECT FROM orders) AS has_rows";
    let found: HasRows =
        diesel::sql_query(query).get_result(&mut connection).await.context("the tables can't be read")?;
    ensure!(
        !found.has_rows || yes_destroy == Some(database.database()),
        "the tables of {database} have rows, which this would drop: say so with --yes-destroy {}",
        database.database()
    );
    let mut harness = AsyncMigrationHarness::new(connection);
    let reverted = harness
        .revert_last_migration(MIGRATIONS)
        .map_err(|error| anyhow!("the migration can't be taken back: {error}"))?;
    println!("took back {reverted}");
    Ok(Outcome::Valid)
}

fn status(connection: AsyncPgConnection) -> anyhow::Result<Outcome> {
    let mut harness = AsyncMigrationHarness::new(connection);
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
