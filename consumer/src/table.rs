//! The real table: a connection that comes back, and what the server's answers mean for the rows.

use std::sync::Arc;

use shared::database::{DatabaseSettings, SqlError, StatementClient, connect};

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
        while self.client.as_ref().is_none_or(StatementClient::is_closed) {
            outage.check()?;
            match outage.unless_abandoned(connect(&self.settings)).await? {
                Ok(client) => {
                    let StatementSettings { statements, statement_deadline } = self.statements;
                    self.client = Some(StatementClient::new(client, statements, statement_deadline));
                }
                Err(error) => self.lost(format!("{error:#}"), outage).await,
            }
        }
        outage.check()?;
        self.client.as_mut().ok_or(GivenUp)
    }

    /// What a call's result means: an answer, which may be an error for the data's sake, or nothing but that the call has
    /// to be made again, once the outage's next delay is over.
    pub async fn answered<T>(
        &mut self,
        result: Result<T, SqlError>,
        outage: &mut Outage<'_>,
    ) -> Option<Result<T, SqlError>> {
        match result {
            Err(error) if Failure::of(&error) == Failure::Outage => {
                self.lost(error.to_string(), outage).await;
                None
            }
            Err(error) if Failure::of(&error) == Failure::Stale => {
                tracing::debug!(%error, "preparing again");
                if let Some(client) = &mut self.client {
                    client.forget();
                }
                outage.wait().await;
                None
            }
            answer => {
                self.health.well(Obstacle::Database);
                Some(answer)
            }
        }
    }

    /// The database is of no use right now: says so, and waits for the outage's next delay.
    pub async fn lost(&mut self, error: String, outage: &mut Outage<'_>) {
        self.client = None;
        let what = format!("the database {} is lost: {error}; trying again until it is back", self.settings);
        self.health.trouble(Obstacle::Database, what);
        outage.wait().await;
    }
}

impl Table for Database {
    async fn insert(&mut self, rows: &[&OrderRow], outage: &mut Outage<'_>) -> Result<Answer, GivenUp> {
        let insert = InsertOrders::of(rows);
        let client = self.connected(outage).await?;
        let result = outage.unless_abandoned(client.execute(&insert)).await?;
        Ok(match self.answered(result, outage).await {
            None => Answer::Lost,
            Some(Ok(inserted)) => Answer::Inserted(inserted),
            Some(Err(error)) if Failure::of(&error) == Failure::Data => Answer::Refused(error),
            Some(Err(_)) if rows.len() > 1 => Answer::TooLong,
            // Too long for a single row is no fault of the row.
            Some(Err(error)) => {
                self.lost(error.to_string(), outage).await;
                Answer::Lost
            }
        })
    }
}
