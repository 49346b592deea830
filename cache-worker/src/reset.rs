//! `cache-worker reset`: marks rows as never cached.

use std::time::Duration;

use shared::{
    catalog::{Product, User},
    database::{SqlError, StatementClient, StatementMode, migrations::require_tables},
};
use tokio_util::sync::CancellationToken;

use crate::{mark::mark_never_cached, round_lock::ADVISORY_LOCK, settings::ResetSettings};

/// Resetting a million rows takes some ten seconds.
const SERVER_TIMEOUTS: &str = "SET LOCAL lock_timeout = '30s'; SET LOCAL statement_timeout = '10min'";
/// Longer than the timeout of the server, so that its error is shown.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(11 * 60);

/// Resets the tables that `settings` name, or both if they name none, after confirmation.
///
/// # Errors
/// When the user does not confirm, or the database fails.
pub async fn reset(settings: &ResetSettings) -> anyhow::Result<()> {
    let database = settings.database.settings()?;
    require_tables(&database).await?;
    let mut connection = StatementClient::connect(&database, StatementMode::Unnamed, STATEMENT_TIMEOUT).await?;
    let both = settings.users == settings.products;
    let (reset_users, reset_products) = (settings.users || both, settings.products || both);
    let query = "\
        SELECT (SELECT count(last_cached_at) FROM users) AS users, \
            (SELECT count(last_cached_at) FROM products) AS products";
    let cached = connection.query_one(&diesel::sql_query(query)).await?;
    let listed = |users: i64, products: i64| {
        let tables = [(reset_users, users, "users"), (reset_products, products, "products")];
        let tables = tables.iter().filter(|(chosen, ..)| *chosen).map(|(_, rows, name)| format!("{rows} {name}"));
        tables.collect::<Vec<_>>().join(" and ")
    };
    let consequence = format!("This resets last_cached_at of {}", listed(cached.get("users"), cached.get("products")));
    // No signal is handled: Ctrl-C ends the process at the prompt, and later the server rolls back.
    settings.yes.confirm(&database, &consequence, &CancellationToken::new()).await?;
    let (users, products) = reset_tables(&mut connection, reset_users, reset_products).await?;
    let rows = listed(users.cast_signed(), products.cast_signed());
    println!("{database}: last_cached_at of {rows} is reset; the next rounds start with the rows created first");
    Ok(())
}

async fn reset_tables(
    connection: &mut StatementClient,
    reset_users: bool,
    reset_products: bool,
) -> Result<(u64, u64), SqlError> {
    connection
        .transaction(async |connection| {
            connection.batch(SERVER_TIMEOUTS).await?;
            // Excludes rounds, which would wait for the locked rows and then mark some of them.
            connection.batch(&format!("SELECT pg_advisory_xact_lock({ADVISORY_LOCK})")).await?;
            let users = if reset_users { mark_never_cached::<User>(connection).await? } else { 0 };
            let products = if reset_products { mark_never_cached::<Product>(connection).await? } else { 0 };
            Ok((users, products))
        })
        .await
}
