use std::time::Duration;

use anyhow::Context;
use diesel_async::AsyncPgConnection;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio_postgres::{CancelToken, Client, NoTls, config::SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{connections::OpenConnection, settings::DatabaseSettings};
use crate::tls::{crypto_provider, system_authorities};

/// Timeout of connecting, for a server that accepts the connection but does not answer (paused, behind a broken
/// network).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(8);

/// Opens a connection, with TLS and a verified certificate if the settings require TLS. A tokio task drives the
/// connection; it ends when the client is dropped.
///
/// # Errors
/// When the server does not answer within 8 s, or refuses the connection.
pub async fn connect(settings: &DatabaseSettings) -> anyhow::Result<Client> {
    let failed =
        || format!("the database {settings} can't be reached: check that it runs (deploy/stack up) and its settings");
    tokio::time::timeout(CONNECT_TIMEOUT, open(settings)).await.with_context(failed)?.with_context(failed)
}

async fn open(settings: &DatabaseSettings) -> anyhow::Result<Client> {
    if settings.config.get_ssl_mode() == SslMode::Disable {
        let (client, connection) = settings.config.connect(NoTls).await?;
        spawn(connection);
        return Ok(client);
    }
    let (client, connection) = settings.config.connect(tls(settings)?).await?;
    spawn(connection);
    Ok(client)
}

/// Runs the connection until its client is dropped or the server is lost, and counts it until then.
fn spawn(connection: impl Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static) {
    let open = OpenConnection::count();
    tokio::spawn(async move {
        let _open = open;
        // The client gets the error as well.
        let _ended = connection.await;
    });
}

/// Requests the server to cancel the statement of `token`. Otherwise the server continues to execute a statement whose
/// client has stopped waiting.
pub(super) async fn cancel(settings: DatabaseSettings, token: CancelToken) {
    let cancelling = async {
        match settings.config.get_ssl_mode() {
            SslMode::Disable => Ok(token.cancel_query(NoTls).await?),
            _ => anyhow::Ok(token.cancel_query(tls(&settings)?).await?),
        }
    };
    let cancelled = tokio::time::timeout(CONNECT_TIMEOUT, cancelling).await.context("no answer in time").flatten();
    if let Err(error) = cancelled {
        tracing::debug!("PostgreSQL: a statement can't be cancelled: {error:#}");
    }
}

/// As [`connect`], for queries that Diesel runs itself.
///
/// # Errors
/// Those of [`connect`], or when the server refuses the session settings of Diesel.
pub async fn connect_diesel(settings: &DatabaseSettings) -> anyhow::Result<AsyncPgConnection> {
    let client = connect(settings).await?;
    let refused = || format!("the database {settings} refuses the session settings of Diesel");
    tokio::time::timeout(CONNECT_TIMEOUT, AsyncPgConnection::try_from(client))
        .await
        .with_context(refused)?
        .with_context(refused)
}

fn tls(settings: &DatabaseSettings) -> anyhow::Result<MakeRustlsConnect> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(system_authorities());
    if let Some(file) = &settings.authority {
        let context = || format!("the CA certificate {} can't be read", file.display());
        for certificate in CertificateDer::pem_file_iter(file).with_context(context)? {
            roots.add(certificate.with_context(context)?).with_context(context)?;
        }
    }
    let config = ClientConfig::builder_with_provider(crypto_provider()).with_safe_default_protocol_versions()?;
    Ok(MakeRustlsConnect::new(config.with_root_certificates(roots).with_no_client_auth()))
}
