use std::time::Duration;

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
}

impl ReconnectingClient {
    /// Does not connect yet. `timeout` is that of each statement.
    pub fn new(settings: DatabaseSettings, mode: StatementMode, timeout: Duration) -> Self {
        Self { settings, mode, timeout, client: None }
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
    /// When the server does not answer within 8 s, or refuses the connection.
    pub async fn connected(&mut self) -> anyhow::Result<&mut StatementClient> {
        let open = match self.client.take().filter(|client| !client.is_closed() && !client.has_expired()) {
            Some(client) => client,
            None => StatementClient::connect(&self.settings, self.mode, self.timeout).await?,
        };
        Ok(self.client.insert(open))
    }

    /// Returns the connection if one was opened, without connecting. It may be closed.
    pub fn open(&mut self) -> Option<&mut StatementClient> {
        self.client.as_mut()
    }

    /// Closes the connection. The server rolls back an open transaction.
    pub fn disconnect(&mut self) {
        self.client = None;
    }
}
