//! Applies and reverts the schema's migrations, and lists them.

use std::error::Error;

use anyhow::{Context, anyhow, ensure};
use diesel::{
    QueryableByName,
    migration::{Migration, MigrationSource, MigrationVersion},
    pg::Pg,
    sql_types::{BigInt, Bool},
};
use diesel_async::{AsyncMigrationHarness, AsyncPgConnection, RunQueryDsl};
use diesel_migrations::MigrationHarness;
use shared::{
    confirm::YesDestroy,
    database::{DatabaseSettings, StatementDeadline, connect_diesel, migrations::MIGRATIONS},
    program::Outcome,
    report::table,
};

use crate::settings::{MigrateAction, MigrateSettings};

type Harness = AsyncMigrationHarness<AsyncPgConnection>;

/// Advisory lock that `up` and `down` hold: two migrations of one database run one after the other.
pub const MIGRATION_LOCK: i64 = 0x6f72_6466_6c6f_774d;

/// Runs an action, under the deadline of the settings.
///
/// # Errors
/// When the database can't be reached or does not answer in time, or a migration fails; each migration is one
/// transaction.
pub async fn migrate(settings: MigrateSettings, database: &DatabaseSettings) -> anyhow::Result<Outcome> {
    let mut connection = connect_diesel(database).await?;
    let deadline = StatementDeadline::new(database, &connection, settings.statement_deadline);
    if let MigrateAction::Up | MigrateAction::Down(_) = settings.action {
        deadline.run(lock(&mut connection, database)).await??;
    }
    match settings.action {
        MigrateAction::Up => up(connection, &deadline).await,
        MigrateAction::Down(yes) => down(connection, database, &yes, &deadline).await,
        MigrateAction::Status => blocking(connection, &deadline, status).await,
    }
}

#[derive(QueryableByName)]
struct TryLock {
    #[diesel(sql_type = Bool)]
    locked: bool,
}

/// Waits for the [`MIGRATION_LOCK`]. The server releases it at the end of the connection.
async fn lock(connection: &mut AsyncPgConnection, database: &DatabaseSettings) -> anyhow::Result<()> {
    let attempt = diesel::sql_query("SELECT pg_try_advisory_lock($1) AS locked").bind::<BigInt, _>(MIGRATION_LOCK);
    let attempt: TryLock = attempt.get_result(connection).await?;
    if !attempt.locked {
        tracing::info!("another `orderdb migrate` changes the schema of {database}: waiting for its end");
        diesel::sql_query("SELECT pg_advisory_lock($1)").bind::<BigInt, _>(MIGRATION_LOCK).execute(connection).await?;
    }
    Ok(())
}

/// Runs Diesel's blocking migrations on a blocking thread.
async fn blocking(
    connection: AsyncPgConnection,
    deadline: &StatementDeadline,
    work: impl FnOnce(&mut Harness) -> anyhow::Result<Outcome> + Send + 'static,
) -> anyhow::Result<Outcome> {
    deadline.run(tokio::task::spawn_blocking(move || work(&mut Harness::new(connection)))).await??
}

/// Versions that are applied, and that this program does not have: a newer one has migrated the database.
fn unknown_versions(harness: &mut Harness) -> anyhow::Result<Vec<String>> {
    let applied = harness.applied_migrations().map_err(unreadable)?;
    let known = known_migrations()?;
    let is_known = |version: &MigrationVersion<'_>| known.iter().any(|known| known.name().version() == *version);
    let mut unknown: Vec<String> =
        applied.iter().filter(|version| !is_known(version)).map(ToString::to_string).collect();
    unknown.sort_unstable();
    Ok(unknown)
}

/// The migrations of this program, oldest first.
pub(crate) fn known_migrations() -> anyhow::Result<Vec<Box<dyn Migration<Pg>>>> {
    MIGRATIONS.migrations().map_err(unreadable)
}

fn unreadable(error: Box<dyn Error + Send + Sync>) -> anyhow::Error {
    anyhow!("the migrations can't be read: {error}")
}

fn ensure_known(harness: &mut Harness) -> anyhow::Result<()> {
    let unknown = unknown_versions(harness)?;
    ensure!(
        unknown.is_empty(),
        "the schema is newer than this orderdb: it has migration {}, which is unknown here. Use the version of \
         orderflow that migrated it, or a later one",
        unknown.join(", ")
    );
    Ok(())
}

/// Applies every migration that is missing.
///
/// # Errors
/// When a migration fails, when the schema is newer than this program, or when the deadline passes.
pub async fn up(connection: AsyncPgConnection, deadline: &StatementDeadline) -> anyhow::Result<Outcome> {
    let apply = |harness: &mut Harness| {
        ensure_known(harness)?;
        let applied =
            harness.run_pending_migrations(MIGRATIONS).map_err(|error| anyhow!("a migration failed: {error}"))?;
        match applied.as_slice() {
            [] => println!("nothing to do: the schema is up to date"),
            applied => applied.iter().for_each(|version| println!("applied {version}")),
        }
        Ok(Outcome::Valid)
    };
    blocking(connection, deadline, apply).await
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
    deadline: &StatementDeadline,
) -> anyhow::Result<Outcome> {
    let query = "SELECT to_regclass('users') IS NOT NULL AS exist, to_regclass('cache_rounds') IS NULL AS only_first";
    let tables: Tables = deadline.run(diesel::sql_query(query).get_result(&mut connection)).await??;
    ensure!(tables.exist, "nothing to revert: database {database} has no orderflow tables");
    if tables.only_first {
        let query = "SELECT (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM products) AS products, \
                     (SELECT count(*) FROM orders) AS orders";
        let rows = deadline.run(diesel::sql_query(query).get_result(&mut connection)).await?;
        let rows: TableSizes = rows.context("the tables can't be read")?;
        if rows.users + rows.products + rows.orders > 0 {
            let TableSizes { users, products, orders } = rows;
            yes.confirm(
                database,
                &format!("This drops the tables with {users} users, {products} products and {orders} orders"),
            )?;
        }
    }
    let revert = |harness: &mut Harness| {
        ensure_known(harness)?;
        let reverted = harness.revert_last_migration(MIGRATIONS);
        println!("reverted {}", reverted.map_err(|error| anyhow!("the migration can't be reverted: {error}"))?);
        Ok(Outcome::Valid)
    };
    blocking(connection, deadline, revert).await
}

fn status(harness: &mut Harness) -> anyhow::Result<Outcome> {
    let pending = harness.pending_migrations(MIGRATIONS).map_err(unreadable)?;
    let missing: Vec<String> = pending.iter().map(|migration| migration.name().to_string()).collect();
    let unknown = unknown_versions(harness)?;
    let mut states = table(["migration", "state"]);
    for migration in &known_migrations()? {
        let name = migration.name().to_string();
        let state = if missing.contains(&name) { "missing" } else { "applied" };
        states.add_row([name.as_str(), state]);
    }
    for version in &unknown {
        states.add_row([version.as_str(), "applied, unknown to this orderdb"]);
    }
    println!("{states}");
    Ok(if missing.is_empty() && unknown.is_empty() { Outcome::Valid } else { Outcome::Invalid })
}
