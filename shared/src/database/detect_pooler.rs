//! Detects a pooler between the program and the server.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    io,
    pin::Pin,
    sync::Once,
    task::{Context as TaskContext, Poll},
};

use anyhow::Context;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio_postgres::{
    Client,
    tls::{ChannelBinding, TlsConnect, TlsStream},
};

use super::{connect::timeout, pooler::Pooler, settings::DatabaseSettings};

/// Whether each transaction of `client`, a connection to `settings`, may have another server connection. Then a named
/// statement may be missing, or be that of another client, which returns wrong rows.
///
/// # Errors
/// When the server does not answer in time, which is that of connecting.
pub async fn shares_sessions(client: &Client, settings: &DatabaseSettings) -> anyhow::Result<bool> {
    match settings.pooler {
        Some(Pooler::None | Pooler::Session) => Ok(false),
        Some(Pooler::Transaction) => Ok(true),
        None => {
            let detecting = tokio::time::timeout(timeout(settings), is_behind_pooler(client)).await;
            detecting.with_context(|| format!("the database {settings} accepts connections but does not answer"))?
        }
    }
}

/// Says once that statements are not prepared.
pub(super) fn tell_unprepared(settings: &DatabaseSettings) {
    static TOLD: Once = Once::new();
    if settings.pooler.is_none() {
        TOLD.call_once(|| {
            tracing::info!(
                "PostgreSQL: {settings} is a pooler, so statements are not prepared; set DB_POOLER=session if it keeps \
                 sessions"
            );
        });
    }
}

/// A server announces the process that serves the connection. A pooler announces an id of its own.
async fn is_behind_pooler(client: &Client) -> anyhow::Result<bool> {
    let row = client.query_typed_one("SELECT pg_backend_pid()", &[]).await;
    let serving: i32 = row.context("PostgreSQL: the server process can't be asked for")?.get(0);
    Ok(announced_process(client).await? != serving)
}

/// The process id that the server announced when the connection was opened. tokio-postgres sends it in a request to
/// cancel a statement, which is written to memory here.
async fn announced_process(client: &Client) -> anyhow::Result<i32> {
    let (stream, mut request) = tokio::io::duplex(64);
    // The answer to a request for TLS.
    request.write_all(b"S").await?;
    client.cancel_token().cancel_query_raw(stream, Unencrypted).await?;
    let mut written = Vec::new();
    request.read_to_end(&mut written).await?;
    // The request ends with the process id and the key, four bytes each.
    let id = written.len().checked_sub(8).and_then(|start| written[start..].first_chunk());
    Ok(i32::from_be_bytes(*id.context("a request to cancel a statement has no process id")?))
}

/// Takes the place of TLS in memory.
struct Unencrypted;

impl TlsConnect<DuplexStream> for Unencrypted {
    type Stream = UnencryptedStream;
    type Error = Infallible;
    type Future = Ready<Result<UnencryptedStream, Infallible>>;

    fn connect(self, stream: DuplexStream) -> Self::Future {
        ready(Ok(UnencryptedStream(stream)))
    }
}

struct UnencryptedStream(DuplexStream);

impl AsyncRead for UnencryptedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for UnencryptedStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

impl TlsStream for UnencryptedStream {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}
