use std::time::Duration;

use super::{
    settings::DatabaseSettings,
    statement::{StatementClient, StatementMode},
};

/// A connection that is opened when it is first needed, and again after it broke.
pub struct ReconnectingClient {
    settings: DatabaseSettings,
    mode: StatementMode,
    deadline: Duration,
    client: Option<StatementClient>,
}

impl ReconnectingClient {
    /// Not connected yet. Each statement will fail after `deadline`.
    pub fn new(settings: DatabaseSettings, mode: StatementMode, deadline: Duration) -> Self {
        Self { settings, mode, deadline, client: None }
    }

    /// The database that it connects to.
    pub fn settings(&self) -> &DatabaseSettings {
        &self.settings
    }

    /// Whether a connection is open, as far as is known.
    pub fn is_connected(&self) -> bool {
        self.client.as_ref().is_some_and(|client| !client.is_closed())
    }

    /// The connection; tries once to open one where there is none.
    ///
    /// # Errors
    /// When the server doesn't answer within 8 s, or refuses.
    pub async fn connected(&mut self) -> anyhow::Result<&mut StatementClient> {
        let open = match self.client.take().filter(|client| !client.is_closed()) {
            Some(client) => client,
            None => StatementClient::connect(&self.settings, self.mode, self.deadline).await?,
        };
        Ok(self.client.insert(open))
    }

    /// The connection that is open, if any.
    pub fn open(&mut self) -> Option<&mut StatementClient> {
        self.client.as_mut()
    }

    /// Closes the connection. The server rolls back what it had not committed.
    pub fn disconnect(&mut self) {
        self.client = None;
    }
}
