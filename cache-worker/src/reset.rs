//! Forgets when rows were cached.

use std::time::Duration;

use shared::{
    catalog::{Product, User},
    database::{SqlError, StatementClient, StatementMode, migrations::require_tables},
};

use crate::{mark::mark_never_cached, round_lock::ADVISORY_LOCK, settings::ResetSettings};

/// A million rows take some ten seconds.
const LIMITS: &str = "SET LOCAL lock_timeout = '30s'; SET LOCAL statement_timeout = '10min'";
const STATEMENT: Duration = Duration::from_secs(11 * 60);

/// Forgets it of the tables that are named, of both when none is, once whoever runs this agreed.
///
/// # Errors
/// When they did not, or the database fails.
pub async fn reset(settings: &ResetSettings) -> anyhow::Result<()> {
    let database = settings.database.settings()?;
    require_tables(&database).await?;
    let mut connection = StatementClient::connect(&database, StatementMode::Unnamed, STATEMENT).await?;
    let both = settings.users == settings.products;
    let (of_users, of_products) = (settings.users || both, settings.products || both);
    let query = "SELECT (SELECT count(last_cached_at) FROM users) AS users, (SELECT count(last_cached_at) FROM products) AS products";
    let marked = connection.query_one(&diesel::sql_query(query)).await?;
    let named = |users: i64, products: i64| {
        let of = [(of_users, users, "users"), (of_products, products, "products")];
        let named = of.iter().filter(|(wanted, ..)| *wanted).map(|(_, rows, name)| format!("{rows} {name}"));
        named.collect::<Vec<_>>().join(" and ")
    };
    let what = format!("This forgets when {} were cached", named(marked.get("users"), marked.get("products")));
    settings.yes.confirm(&database, &what)?;
    let (users, products) = forget(&mut connection, of_users, of_products).await?;
    let forgotten = named(users.cast_signed(), products.cast_signed());
    println!("{database}: forgot when {forgotten} were cached; the rounds begin anew with the oldest");
    Ok(())
}

async fn forget(connection: &mut StatementClient, of_users: bool, of_products: bool) -> Result<(u64, u64), SqlError> {
    connection
        .transaction(async |connection| {
            connection.batch(LIMITS).await?;
            // No round goes on meanwhile: it would wait for these rows, and mark some of them.
            connection.batch(&format!("SELECT pg_advisory_xact_lock({ADVISORY_LOCK})")).await?;
            let users = if of_users { mark_never_cached::<User>(connection).await? } else { 0 };
            let products = if of_products { mark_never_cached::<Product>(connection).await? } else { 0 };
            Ok((users, products))
        })
        .await
}
