use std::time::Duration;

use anyhow::{Context, anyhow};
use secrecy::{ExposeSecret, SecretString};
use tokio::task::AbortHandle;
use tokio_postgres::{CancelToken, Client, Config, NoTls, error::SqlState};

use super::{connections::OpenConnection, settings::DatabaseSettings, tls::Tls, tls_refusal::tls_refusal};

/// From the TCP connection until the server is ready, for one that accepts the connection but does not answer (paused,
/// behind a broken network).
const GREETING_TIMEOUT: Duration = Duration::from_secs(3);

/// Opens a connection, by TLS if the settings require it. A tokio task drives the connection; it ends when the client is
/// dropped.
///
/// # Errors
/// When no server answers in time (8 s by default), it refuses the connection, or there is no short-lived password.
pub async fn connect(settings: &DatabaseSettings) -> anyhow::Result<Client> {
    connect_with_task(settings).await.map(|(client, _)| client)
}

/// As [`connect`]. Also returns the task that drives the connection; without it, the connection is closed.
///
/// # Errors
/// Those of [`connect`].
pub(super) async fn connect_with_task(settings: &DatabaseSettings) -> anyhow::Result<(Client, AbortHandle)> {
    let Some(passwords) = &settings.short_lived else { return open(settings, &settings.config).await };
    let no_password = || format!("there is no password for the database {settings}");
    loop {
        let password = passwords.password().await.with_context(no_password)?;
        match open_with_password(settings, &password).await {
            // It may have been revoked while it was in the cache.
            Err(error) if is_refused(&error) && passwords.forget(&password).await => {
                tracing::debug!("{error:#}: trying another password");
            }
            opened => return opened,
        }
    }
}

async fn open_with_password(
    settings: &DatabaseSettings,
    password: &SecretString,
) -> anyhow::Result<(Client, AbortHandle)> {
    let mut config = settings.config.clone();
    config.password(password.expose_secret());
    open(settings, &config).await
}

/// Whether the server refused user or password.
fn is_refused(error: &anyhow::Error) -> bool {
    let code = error.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::code);
    code.is_some_and(|code| [SqlState::INVALID_PASSWORD, SqlState::INVALID_AUTHORIZATION_SPECIFICATION].contains(code))
}

async fn open(settings: &DatabaseSettings, config: &Config) -> anyhow::Result<(Client, AbortHandle)> {
    let failed =
        || format!("the database {settings} can't be reached: check that it runs (deploy/stack up) and its settings");
    let opening = tokio::time::timeout(timeout(settings), start(&settings.tls, config));
    opening.await.with_context(failed)?.map_err(|error| match tls_refusal(&error) {
        Some(refusal) => anyhow!("the database {settings} can't be reached by TLS: {refusal}"),
        None => {
            let what = refusal(settings, &error).unwrap_or_else(failed);
            anyhow::Error::from(error).context(what)
        }
    })
}

/// What to do about a server that was reached.
fn refusal(settings: &DatabaseSettings, error: &tokio_postgres::Error) -> Option<String> {
    let code = error.code()?;
    if *code == SqlState::INVALID_CATALOG_NAME {
        return Some(format!("the server has no database {settings}: create it, or set the name of another one"));
    }
    let is_login = [SqlState::INVALID_PASSWORD, SqlState::INVALID_AUTHORIZATION_SPECIFICATION].contains(code);
    is_login.then(|| format!("the database {settings} refuses the login: check user and password"))
}

/// For all hosts, which are tried one after the other.
pub(super) fn timeout(settings: &DatabaseSettings) -> Duration {
    let connect = settings.config.get_connect_timeout().copied().unwrap_or_default();
    let hosts = settings.config.get_hosts().len().max(settings.config.get_hostaddrs().len()).max(1);
    (connect + GREETING_TIMEOUT) * u32::try_from(hosts).unwrap_or(u32::MAX)
}

async fn start(tls: &Tls, config: &Config) -> Result<(Client, AbortHandle), tokio_postgres::Error> {
    match tls {
        Tls::Disabled => {
            let (client, connection) = config.connect(NoTls).await?;
            Ok((client, spawn(connection)))
        }
        Tls::Enabled(tls) => {
            let (client, connection) = config.connect(tls.clone()).await?;
            Ok((client, spawn(connection)))
        }
    }
}

/// Runs the connection until its client is dropped or the server is lost, and counts it until then.
fn spawn(connection: impl Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static) -> AbortHandle {
    let open = OpenConnection::count();
    let task = tokio::spawn(async move {
        let _open = open;
        // The client gets the error as well.
        let _ended = connection.await;
    });
    task.abort_handle()
}

/// Requests the server to cancel the statement of `token`. Otherwise the server continues to execute a statement whose
/// client has stopped waiting.
pub async fn cancel(settings: DatabaseSettings, token: CancelToken) {
    let cancelling = async {
        match &settings.tls {
            Tls::Disabled => token.cancel_query(NoTls).await,
            Tls::Enabled(tls) => token.cancel_query(tls.clone()).await,
        }
    };
    let cancelled = tokio::time::timeout(timeout(&settings), cancelling).await.context("no answer in time");
    let cancelled = cancelled.and_then(|cancelled| Ok(cancelled?));
    if let Err(error) = cancelled {
        tracing::debug!("PostgreSQL: a statement can't be cancelled: {error:#}");
    }
}
