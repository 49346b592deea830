//! Connections that keep their session from one transaction to the next.

use anyhow::{Context, bail};
use diesel_async::AsyncPgConnection;
use tokio_postgres::Client;

use super::{
    connect::{connect, timeout},
    detect_pooler::shares_sessions,
    settings::DatabaseSettings,
};

/// Opens a connection that keeps its session: to `DATABASE_DIRECT_URL` if it is set.
///
/// # Errors
/// Those of [`connect`], or when there is only a pooler in transaction mode.
pub async fn connect_session(settings: &DatabaseSettings) -> anyhow::Result<Client> {
    let settings = settings.direct();
    let client = connect(settings).await?;
    if shares_sessions(&client, settings).await? {
        bail!(
            "the database {settings} is a pooler in transaction mode, which keeps no session: set DATABASE_DIRECT_URL \
             (supabase: SUPABASE_DIRECT_URL; with --database NAME: DATABASE_DIRECT_URL_<NAME>) to the server itself; if this \
             pooler keeps sessions, set DB_POOLER=session, or pgbouncer=false in its URL"
        );
    }
    Ok(client)
}

/// As [`connect_session`], for queries that Diesel runs itself.
///
/// # Errors
/// Those of [`connect_session`], or when the server refuses the session settings of Diesel.
pub async fn connect_diesel(settings: &DatabaseSettings) -> anyhow::Result<AsyncPgConnection> {
    let settings = settings.direct();
    let client = connect_session(settings).await?;
    let refused = || format!("the database {settings} refuses the session settings of Diesel");
    tokio::time::timeout(timeout(settings), AsyncPgConnection::try_from(client))
        .await
        .with_context(refused)?
        .with_context(refused)
}
