//! The connection of one command.

use std::time::Duration;

use anyhow::{anyhow, bail};
use shared::{
    cache::CacheSettings,
    database::{DatabaseSettings, StatementClient, StatementMode, cancel},
    lookup::{LoggedOutage, RowCache},
};
use tokio_util::sync::CancellationToken;

/// Connects. Each statement may take `deadline`.
///
/// # Errors
/// When the database can't be reached.
pub async fn connect(database: &DatabaseSettings, deadline: Duration) -> anyhow::Result<StatementClient> {
    StatementClient::connect(database, StatementMode::Unnamed, deadline).await
}

/// Runs `work` in a transaction, which `stop` ends: then nothing is changed, unless the COMMIT was under way.
///
/// # Errors
/// Those of `work`, or when the database fails, or on `stop`.
pub async fn transaction<T>(
    database: &DatabaseSettings,
    deadline: Duration,
    stop: &CancellationToken,
    work: impl AsyncFnOnce(&mut StatementClient) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let Some(client) = stop.run_until_cancelled(connect(database, deadline)).await else {
        bail!("interrupted: nothing was changed");
    };
    let mut client = client?;
    let token = client.cancel_token();
    let result = tokio::select! {
        result = client.transaction(work) => result,
        () = stop.cancelled() => {
            Err(anyhow!("interrupted: the transaction is rolled back, unless it was being committed"))
        }
    };
    // The server rolls back at the end of the connection, which a statement that waits for a lock would delay. Waited
    // for, since the program ends now.
    if stop.is_cancelled() || client.is_closed() {
        cancel(database.clone(), token).await;
    }
    result
}

/// The cache of `database` in Redis, whose outages are logged. Connects at the first use.
///
/// # Errors
/// When the settings of Redis are not usable.
pub fn row_cache(settings: &CacheSettings, database: &DatabaseSettings) -> anyhow::Result<RowCache> {
    let settings = settings.of_database(database.name());
    Ok(RowCache::new(settings.connect_lazily()?, settings.keys(), LoggedOutage::default()))
}
