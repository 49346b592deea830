use std::{sync::atomic::Ordering, time::Duration};

use super::{
    settings::DatabaseSettings,
    statement::{StatementClient, StatementMode},
};

/// A connection that is opened at first use, and opened again after it was lost.
pub struct ReconnectingClient {
    settings: DatabaseSettings,
    mode: StatementMode,
    timeout: Duration,
    client: Option<StatementClient>,
    /// That of the settings when the client connected.
    generation: u64,
}

impl ReconnectingClient {
    /// Does not connect yet. `timeout` is that of each statement.
    pub fn new(settings: DatabaseSettings, mode: StatementMode, timeout: Duration) -> Self {
        Self { settings, mode, timeout, client: None, generation: 0 }
    }

    /// The settings of the database.
    pub fn settings(&self) -> &DatabaseSettings {
        &self.settings
    }

    /// Whether a connection is open. A connection whose loss was not noticed yet counts as open.
    pub fn is_connected(&self) -> bool {
        self.client.as_ref().is_some_and(|client| !client.is_closed())
    }

    /// Returns the open connection. Opens one when there is none or it has expired; does not retry.
    ///
    /// # Errors
    /// When the server does not answer within 16 s, or refuses the connection. One that has expired is kept then.
    pub async fn connected(&mut self) -> anyhow::Result<&mut StatementClient> {
        let generation = self.settings.generation.load(Ordering::Relaxed);
        let is_given_up = self.generation != generation;
        let open = match self.client.take().filter(|client| !client.is_closed() && !is_given_up) {
            Some(client) if !client.has_expired() => client,
            expired => match (StatementClient::connect(&self.settings, self.mode, self.timeout).await, expired) {
                (Ok(client), _) => client,
                (Err(error), Some(expired)) if !expired.is_closed() => {
                    tracing::debug!("PostgreSQL: an expired connection can't be replaced yet: {error:#}");
                    expired
                }
                (Err(error), _) => return Err(error),
            },
        };
        self.generation = generation;
        Ok(self.client.insert(open))
    }

    /// Returns the connection if one was opened, without connecting. It may be closed.
    pub fn open(&mut self) -> Option<&mut StatementClient> {
        self.client.as_mut()
    }

    /// Closes the connection, and at its next use each other one of the same settings: the server is no longer the
    /// right one.
    pub fn disconnect_all(&mut self) {
        self.settings.generation.fetch_add(1, Ordering::Relaxed);
        self.disconnect();
    }

    /// Closes the connection. The server rolls back an open transaction.
    pub fn disconnect(&mut self) {
        self.client = None;
    }
}
