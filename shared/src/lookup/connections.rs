use std::time::Duration;

use tokio::sync::{Mutex, Semaphore};

use super::read_error::ReadError;
use crate::database::{DatabaseSettings, ReconnectingClient, SqlError, StatementClient, StatementMode};

/// Connections for queries, each opened at its first use.
pub struct QueryConnections {
    clients: Vec<Mutex<ReconnectingClient>>,
    /// As many as there are clients: whoever has one finds a client that is not locked.
    permits: Semaphore,
}

impl QueryConnections {
    /// At most `count` connections, at least 1. Each query fails after `deadline`.
    pub fn new(settings: &DatabaseSettings, count: usize, deadline: Duration) -> Self {
        // Unnamed: a prepared statement would fail once the table has changed.
        let client = || Mutex::new(ReconnectingClient::new(settings.clone(), StatementMode::Unnamed, deadline));
        let clients: Vec<_> = std::iter::repeat_with(client).take(count.max(1)).collect();
        Self { permits: Semaphore::new(clients.len()), clients }
    }

    /// Runs a query, once more when its connection turns out to be lost.
    ///
    /// # Errors
    /// When the database can't be reached, or the query fails.
    pub async fn query<T>(
        &self,
        query: impl AsyncFn(&mut StatementClient) -> Result<T, SqlError>,
    ) -> Result<T, ReadError> {
        let _permit = self.permits.acquire().await.expect("the semaphore is never closed");
        let unlocked = self.clients.iter().find_map(|client| client.try_lock().ok());
        let mut client = unlocked.expect("a permit is a client that is not locked");
        let was_connected = client.is_connected();
        let error = match query(client.connected().await.map_err(ReadError::Connection)?).await {
            Ok(result) => return Ok(result),
            Err(error) => error,
        };
        // Classes of a connection that ends: connection exception, operator intervention.
        let is_lost = |code: &str| code.starts_with("08") || code.starts_with("57P");
        if !error.sqlstate().is_none_or(is_lost) {
            return Err(error.into());
        }
        // The connection is lost, or must not be used again after a timeout: the query would take as long once more.
        client.disconnect();
        if was_connected && !matches!(error, SqlError::Timeout(_)) {
            return Ok(query(client.connected().await.map_err(ReadError::Connection)?).await?);
        }
        Err(error.into())
    }
}
