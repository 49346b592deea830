//! `orderdb reset`: an empty schema, or no orders. All of it is one transaction: a reset that is interrupted changes
//! nothing.

use std::collections::BTreeSet;

use anyhow::{Context, bail, ensure};
use shared::{
    confirm::YesDestroy,
    database::{DatabaseSettings, SqlError},
    program::Outcome,
};
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use crate::{
    migrate::{count_down::count_down, history, lock::lock, losses::counted_as, source::Migrations, step},
    seed::seed,
    session::Session,
    settings::{ResetScope, ResetSettings, SeedSettings, Waiting},
};

const TABLES: [&str; 5] = ["users", "products", "orders", "order_events", "cache_rounds"];
/// The tables of the orders, in the order in which a consumer locks them.
const ORDERS: [&str; 2] = ["orders", "order_events"];

/// The other programs that are connected, which may write meanwhile.
const CONNECTED: &str = "\
    SELECT application_name || CASE count(*) WHEN 1 THEN '' ELSE ' (' || count(*) || ' connections)' END \
    FROM pg_stat_activity \
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE 'orderflow-%' \
    GROUP BY application_name ORDER BY application_name";

/// Resets what the settings say, after confirmation.
///
/// # Errors
/// When it is not confirmed, a statement fails, the deadline passes, or the program is told to stop.
pub async fn reset(
    settings: &ResetSettings,
    database: &DatabaseSettings,
    stop: CancellationToken,
) -> anyhow::Result<Outcome> {
    let session = Session::open(database, settings.statement_deadline, stop.clone()).await?;
    match settings.scope() {
        ResetScope::Orders => reset_orders(&session, &settings.yes).await?,
        ResetScope::Schema => reset_schema(&session, &settings.yes).await?,
    }
    if settings.seed {
        let seeding = SeedSettings::default_rows();
        match stop.run_until_cancelled(seed(&seeding, database.direct())).await {
            Some(seeded) => seeded?,
            None => bail!("interrupted: the schema is reset, but rows are missing: `orderdb seed` adds them"),
        }
    }
    if settings.scope() == ResetScope::Schema {
        println!("the cache in Redis still has the rows of before: once there are others, run `cache-worker --once`");
    }
    Ok(Outcome::Valid)
}

async fn reset_orders(session: &Session, yes: &YesDestroy) -> anyhow::Result<()> {
    let confirmed = confirm(session, &ORDERS, yes).await?;
    let emptying = session.transaction(async {
        confirmed.check(&session.client, &ORDERS).await?;
        Ok(session.batch(&format!("TRUNCATE {}", ORDERS.join(", "))).await?)
    });
    emptying.await?;
    println!("{}: all orders and their histories are deleted", session.database);
    Ok(())
}

async fn reset_schema(session: &Session, yes: &YesDestroy) -> anyhow::Result<()> {
    let Session { client, database, .. } = session;
    let migrations = Migrations::built_in()?;
    let applied = async || session.run(async { Ok(history::applied(client).await?) }).await;
    migrations.ensure_known(&applied().await?).context(
        "reset has the migrations of this program only; `migrate rollback COUNT --migrations FOLDER` reverts others first",
    )?;
    let confirmed = confirm(session, &TABLES, yes).await?;
    // Not while a person is asked: another program may have to migrate.
    lock(session).await?;
    let applied: BTreeSet<String> = applied().await?;
    migrations.ensure_known(&applied)?;
    let resetting = session.transaction(async {
        confirmed.check(client, &TABLES).await?;
        history::create(client).await?;
        for migration in migrations.applied(&applied) {
            let reverted = step::revert_in_transaction(client, migration).await;
            reverted.with_context(|| format!("{migration} can't be reverted"))?;
        }
        for migration in migrations.all() {
            let applied = step::apply_in_transaction(client, migration).await;
            applied.with_context(|| format!("{migration} can't be applied"))?;
        }
        Ok(())
    });
    resetting.await.map_err(|error| error.context("the schema can't be reset, and is left as it was"))?;
    println!("{database}: all tables are created again, without rows");
    Ok(())
}

/// What may be destroyed.
enum Confirmed {
    /// Whatever there is: it was confirmed.
    Rows,
    /// No row: there was none, so that nothing was asked.
    NoRow,
}

impl Confirmed {
    /// # Errors
    /// When there are rows that nobody has confirmed. Until the end of the transaction, no more are added.
    async fn check(&self, client: &Client, tables: &[&str]) -> anyhow::Result<()> {
        let Self::NoRow = self else { return Ok(()) };
        for (table, _) in count(client, tables).await? {
            client.batch_execute(&format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")).await?;
            let has_rows: bool =
                client.query_typed_one(&format!("SELECT EXISTS (SELECT FROM {table})"), &[]).await?.get(0);
            ensure!(!has_rows, "rows were added to {table} meanwhile: nothing was changed. Run it again");
        }
        Ok(())
    }
}

async fn confirm(session: &Session, tables: &[&str], yes: &YesDestroy) -> anyhow::Result<Confirmed> {
    let Session { client, database, stop, .. } = session;
    let (present, connected) =
        session.run(async { Ok((count(client, tables).await?, connected(client).await?)) }).await?;
    if present.iter().all(|(_, rows)| *rows == 0) {
        count_down(session, Waiting::OnTerminal).await?;
        return Ok(Confirmed::NoRow);
    }
    let with_rows = present.iter().filter(|(_, rows)| *rows > 0);
    let counted: Vec<String> =
        with_rows.map(|(table, rows)| format!("{} of {table}", counted_as(*rows, "row"))).collect();
    let mut what = format!("This destroys {}", counted.join(", "));
    if !connected.is_empty() {
        what.push_str(&format!("; stop these first, which may write meanwhile: {}", connected.join(", ")));
    }
    yes.confirm(database, &what, stop).await?;
    Ok(Confirmed::Rows)
}

/// The tables that exist, with the number of their rows.
async fn count<'a>(client: &Client, tables: &[&'a str]) -> Result<Vec<(&'a str, i64)>, SqlError> {
    let mut counted = Vec::new();
    for table in tables {
        let exists = format!("SELECT to_regclass('{table}') IS NOT NULL");
        if client.query_typed_one(&exists, &[]).await?.get(0) {
            let count = format!("SELECT count(*) FROM {table}");
            counted.push((*table, client.query_typed_one(&count, &[]).await?.get(0)));
        }
    }
    Ok(counted)
}

async fn connected(client: &Client) -> Result<Vec<String>, SqlError> {
    Ok(client.query_typed(CONNECTED, &[]).await?.iter().map(|row| row.get(0)).collect())
}
