//! Forgets when rows were cached.

use std::time::Duration;

use anyhow::Context;
use diesel::{QueryableByName, sql_types};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use shared::database::{connect_diesel, migrations::require_tables};

use crate::{select, settings::ResetSettings, turn::ADVISORY_LOCK};

/// A million rows take some ten seconds.
const LIMITS: &str = "SET LOCAL lock_timeout = '30s'; SET LOCAL statement_timeout = '10min'";
const FORGETTING: Duration = Duration::from_secs(25 * 60);
const COUNTING: Duration = Duration::from_secs(60);

#[derive(QueryableByName)]
struct Marked {
    #[diesel(sql_type = sql_types::BigInt)]
    users: i64,
    #[diesel(sql_type = sql_types::BigInt)]
    products: i64,
}

/// Forgets it of the tables that are named, of both when none is, once whoever runs this agreed.
///
/// # Errors
/// When they did not, or the database fails.
pub async fn reset(settings: &ResetSettings) -> anyhow::Result<()> {
    let database = settings.database.settings()?;
    let mut connection = connect_diesel(&database).await?;
    require_tables(&mut connection, &database).await?;
    let both = settings.users == settings.products;
    let (of_users, of_products) = (settings.users || both, settings.products || both);
    let query = "SELECT (SELECT count(last_cached_at) FROM users) AS users, (SELECT count(last_cached_at) FROM products) AS products";
    let counting = tokio::time::timeout(COUNTING, diesel::sql_query(query).get_result(&mut connection)).await;
    let marked: Marked = counting.with_context(|| format!("no answer from {database} within {COUNTING:?}"))??;
    let named = |users: i64, products: i64| {
        let of = [(of_users, users, "users"), (of_products, products, "products")];
        let named = of.iter().filter(|(wanted, ..)| *wanted).map(|(_, rows, name)| format!("{rows} {name}"));
        named.collect::<Vec<_>>().join(" and ")
    };
    let what = format!("This forgets when {} were cached", named(marked.users, marked.products));
    settings.yes.confirm(&database, &what)?;
    let forgetting = tokio::time::timeout(FORGETTING, forget(&mut connection, of_users, of_products)).await;
    let (users, products) =
        forgetting.with_context(|| format!("no answer from {database} within {FORGETTING:?}"))??;
    let forgotten = named(users as i64, products as i64);
    println!("{database}: forgot when {forgotten} were cached; the rounds begin anew with the oldest");
    Ok(())
}

async fn forget(
    connection: &mut AsyncPgConnection,
    of_users: bool,
    of_products: bool,
) -> diesel::QueryResult<(usize, usize)> {
    connection
        .transaction(async |connection| {
            connection.batch_execute(LIMITS).await?;
            // No round goes on meanwhile: it would wait for these rows, and mark some of them.
            connection.batch_execute(&format!("SELECT pg_advisory_xact_lock({ADVISORY_LOCK})")).await?;
            let users = if of_users { select::users::forget(connection).await? } else { 0 };
            let products = if of_products { select::products::forget(connection).await? } else { 0 };
            Ok((users, products))
        })
        .await
}
