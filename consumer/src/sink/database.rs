//! The orders table in PostgreSQL: a connection that is opened again when it breaks, and the meaning of an error for
//! the rows.

use std::{collections::HashMap, sync::Arc};

use shared::database::{DatabaseSettings, ReconnectingClient, SqlError, StatementClient};

use super::{
    bisect::{InsertOutcome, OrderSink},
    insert::InsertOrders,
    stored::read_stored,
};
use crate::{
    health::{ConsumerHealth, ConsumerIssue},
    model::{OrderRow, StoredOrder},
    retry_scope::{Cancelled, RetryScope},
    settings::StatementSettings,
};

/// The meaning of a database error for the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// The table refuses a row.
    Data,
    /// The statement exceeded the server's statement timeout.
    TooLong,
    /// The prepared statement does not exist any more: the table changed, or a pooler switched the connection.
    StalePreparedStatement,
    /// The rows are not the cause: the statement is retried.
    Outage,
}

impl Failure {
    /// Classes 22 (data), 23 (constraint), 44 (check option) and P0001 (raised by a trigger) are about the data.
    fn of(error: &SqlError) -> Self {
        match error.sqlstate() {
            Some("57014") => Self::TooLong,
            Some("0A000" | "26000") => Self::StalePreparedStatement,
            Some("P0001") => Self::Data,
            Some(state) if ["22", "23", "44"].iter().any(|class| state.starts_with(class)) => Self::Data,
            _ => Self::Outage,
        }
    }
}

/// A connection to the database with the orders table, and the health that reports its outages.
pub struct OrderDatabase {
    client: ReconnectingClient,
    health: Arc<ConsumerHealth>,
}

impl OrderDatabase {
    /// Connects at the first statement.
    pub fn new(settings: DatabaseSettings, statements: StatementSettings, health: Arc<ConsumerHealth>) -> Self {
        let StatementSettings { statements, statement_deadline } = statements;
        Self { client: ReconnectingClient::new(settings, statements, statement_deadline), health }
    }

    /// Returns the open connection. Opens one if there is none, and retries until it succeeds.
    ///
    /// # Errors
    /// [`Cancelled`] when `scope` ends first.
    pub async fn connected(&mut self, scope: &mut RetryScope<'_>) -> Result<&mut StatementClient, Cancelled> {
        while !self.try_connect(scope).await? {}
        self.client.open().ok_or(Cancelled)
    }

    /// Connects if there is no connection. When that fails, waits for the next delay of `scope` and returns false.
    async fn try_connect(&mut self, scope: &mut RetryScope<'_>) -> Result<bool, Cancelled> {
        scope.check()?;
        match scope.run(self.client.connected()).await? {
            Ok(_) => Ok(true),
            Err(error) => {
                self.back_off_after(format!("{error:#}"), scope).await;
                Ok(false)
            }
        }
    }

    /// Closes the connection, reports the outage, and waits for the next delay of `scope`.
    pub async fn back_off_after(&mut self, error: String, scope: &mut RetryScope<'_>) {
        self.client.disconnect();
        let settings = self.client.settings();
        let message = format!("PostgreSQL: the database {settings} is lost: {error}; retrying until it is back");
        scope.report(&self.health, ConsumerIssue::Database, message);
        scope.back_off().await;
    }

    /// Prepares the statement again. If that fails twice in a row, the cause is most likely a pooler.
    async fn prepare_again(&mut self, error: &SqlError, scope: &mut RetryScope<'_>) {
        if let Some(client) = self.client.open() {
            client.forget_prepared();
        }
        if scope.is_first_attempt() {
            tracing::debug!(%error, "PostgreSQL: preparing the statement again");
        } else {
            let settings = self.client.settings();
            let message = format!(
                "PostgreSQL: the database {settings} does not have the prepared statement: {error}; behind a pooler, \
                 use --statements unnamed"
            );
            scope.report(&self.health, ConsumerIssue::Database, message);
        }
        scope.back_off().await;
    }
}

impl OrderSink for OrderDatabase {
    async fn insert(&mut self, rows: &[&OrderRow], scope: &mut RetryScope<'_>) -> Result<InsertOutcome, Cancelled> {
        // One attempt: before the next, the partitions of the rows may be revoked.
        if !self.try_connect(scope).await? {
            return Ok(InsertOutcome::Unknown);
        }
        let client = self.client.open().ok_or(Cancelled)?;
        let insert = InsertOrders::of(rows);
        let error = match scope.run(client.execute(&insert)).await? {
            Ok(inserted) => {
                self.health.resolve(ConsumerIssue::Database);
                return Ok(InsertOutcome::Inserted(inserted));
            }
            Err(error) => error,
        };
        match Failure::of(&error) {
            Failure::Data => {
                self.health.resolve(ConsumerIssue::Database);
                return Ok(InsertOutcome::Refused(error));
            }
            Failure::TooLong if rows.len() > 1 => return Ok(InsertOutcome::TooLong),
            Failure::StalePreparedStatement => self.prepare_again(&error, scope).await,
            // A single row that takes too long waits for a lock: the row is not the cause.
            Failure::TooLong | Failure::Outage => self.back_off_after(error.to_string(), scope).await,
        }
        Ok(InsertOutcome::Unknown)
    }

    async fn stored(
        &mut self,
        rows: &[&OrderRow],
        scope: &mut RetryScope<'_>,
    ) -> Result<HashMap<String, StoredOrder>, Cancelled> {
        loop {
            let client = self.connected(scope).await?;
            match scope.run(read_stored(client, rows)).await? {
                Ok(stored) => return Ok(stored),
                Err(error) => self.back_off_after(error.to_string(), scope).await,
            }
        }
    }
}
