//! The real table: a connection that comes back, and what the server's answers mean for the rows.

use std::sync::Arc;

use shared::database::{DatabaseSettings, SqlError, StatementClient};

use crate::{
    health::{Health, Obstacle},
    insert::InsertOrders,
    outage::{GivenUp, Outage},
    settings::StatementSettings,
    store::{Answer, OrderRow, Table},
};

/// What a database error means for the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// Some row is at fault.
    Data,
    /// The statement was too long for the server's time limit.
    TooLong,
    /// What was prepared is of no use any more: the table changed, or a pooler gave the connection away.
    Stale,
    /// Not the rows' fault: it passes.
    Outage,
}

impl Failure {
    /// Classes 22 (data), 23 (constraint), 44 (check option) and P0001 (raised by a trigger) are about the data.
    fn of(error: &SqlError) -> Self {
        match error.sqlstate() {
            Some("57014") => Self::TooLong,
            Some("0A000" | "26000") => Self::Stale,
            Some("P0001") => Self::Data,
            Some(state) if ["22", "23", "44"].iter().any(|class| state.starts_with(class)) => Self::Data,
            _ => Self::Outage,
        }
    }
}

/// A connection that is opened again whenever it breaks.
pub struct Database {
    settings: DatabaseSettings,
    statements: StatementSettings,
    client: Option<StatementClient>,
    health: Arc<Health>,
}

impl Database {
    /// Not connected yet.
    pub fn new(settings: DatabaseSettings, statements: StatementSettings, health: Arc<Health>) -> Self {
        Self { settings, statements, client: None, health }
    }

    /// The connection, once there is one; an outage is waited out, for as long as it takes.
    ///
    /// # Errors
    /// [`GivenUp`] when the outage is not waited for any longer.
    pub async fn connected(&mut self, outage: &mut Outage<'_>) -> Result<&mut StatementClient, GivenUp> {
        while !self.try_to_connect(outage).await? {}
        self.client.as_mut().ok_or(GivenUp)
    }

    /// Connects where there is no connection; false when that is no use right now, once the outage's next delay is over.
    async fn try_to_connect(&mut self, outage: &mut Outage<'_>) -> Result<bool, GivenUp> {
        outage.check()?;
        if self.client.as_ref().is_none_or(StatementClient::is_closed) {
            let StatementSettings { statements, statement_deadline } = self.statements;
            let connecting = StatementClient::connect(&self.settings, statements, statement_deadline);
            match outage.unless_abandoned(connecting).await? {
                Ok(client) => self.client = Some(client),
                Err(error) => {
                    self.lost(format!("{error:#}"), outage).await;
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// The database is of no use right now: says so, and waits for the outage's next delay.
    pub async fn lost(&mut self, error: String, outage: &mut Outage<'_>) {
        self.client = None;
        let what = format!("the database {} is lost: {error}; trying again until it is back", self.settings);
        outage.report(&self.health, Obstacle::Database, what);
        outage.wait().await;
    }

    /// What was prepared is of no use: once is nothing, but behind a pooler it would go on so.
    async fn stale(&mut self, error: &SqlError, outage: &mut Outage<'_>) {
        if let Some(client) = &mut self.client {
            client.forget_prepared();
        }
        if outage.is_first() {
            tracing::debug!(%error, "preparing again");
        } else {
            let what = format!(
                "the database {} does not find what was prepared there: {error}; behind a pooler, use --statements unnamed",
                self.settings
            );
            outage.report(&self.health, Obstacle::Database, what);
        }
        outage.wait().await;
    }
}

impl Table for Database {
    async fn insert(&mut self, rows: &[&OrderRow], outage: &mut Outage<'_>) -> Result<Answer, GivenUp> {
        // One try: the rows may be somebody else's by the next.
        if !self.try_to_connect(outage).await? {
            return Ok(Answer::Lost);
        }
        let client = self.client.as_mut().ok_or(GivenUp)?;
        let insert = InsertOrders::of(rows);
        let error = match outage.unless_abandoned(client.execute(&insert)).await? {
            Ok(inserted) => {
                self.health.well(Obstacle::Database);
                return Ok(Answer::Inserted(inserted));
            }
            Err(error) => error,
        };
        match Failure::of(&error) {
            Failure::Data => {
                self.health.well(Obstacle::Database);
                return Ok(Answer::Refused(error));
            }
            Failure::TooLong if rows.len() > 1 => return Ok(Answer::TooLong),
            Failure::Stale => self.stale(&error, outage).await,
            // Too long for a single row is no fault of the row.
            Failure::TooLong | Failure::Outage => self.lost(error.to_string(), outage).await,
        }
        Ok(Answer::Lost)
    }
}
