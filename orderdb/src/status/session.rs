//! The connection, and the deadline of each statement (invariant 12).

use std::{pin::pin, time::Duration};

use anyhow::{anyhow, bail};
use shared::database::{DatabaseSettings, cancel};
use tokio_postgres::{
    Client, Row,
    error::SqlState,
    types::{ToSql, Type},
};

/// How long a statement may take to end after the request to cancel it.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);

pub struct Session {
    client: Client,
    settings: DatabaseSettings,
    deadline: Duration,
}

impl Session {
    pub fn new(client: Client, settings: DatabaseSettings, deadline: Duration) -> Self {
        Self { client, settings, deadline }
    }

    /// Runs `work`, some statements, under the deadline. After it, the server gets a request to cancel the statement.
    ///
    /// # Errors
    /// Those of `work`, or when the deadline has passed.
    pub async fn run<T>(&self, work: impl AsyncFnOnce(&Client) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let mut working = pin!(work(&self.client));
        match tokio::time::timeout(self.deadline, &mut working).await {
            Ok(result) => result,
            Err(_) => {
                cancel(self.settings.clone(), self.client.cancel_token()).await;
                // The server may handle the request later. It must not cancel the statement after this one.
                let _ended = tokio::time::timeout(CANCEL_TIMEOUT, working).await;
                let deadline = humantime::format_duration(self.deadline);
                bail!("no answer within {deadline}, which --statement-deadline sets")
            }
        }
    }

    /// The rows of a query, by an unnamed statement.
    ///
    /// # Errors
    /// When the server refuses the query, or the deadline has passed.
    pub async fn rows(&self, sql: &str, parameters: &[(&(dyn ToSql + Sync), Type)]) -> anyhow::Result<Vec<Row>> {
        self.run(async |client| client.query_typed(sql, parameters).await.map_err(explained)).await
    }

    /// The only row of a query.
    ///
    /// # Errors
    /// As [`Self::rows`].
    pub async fn row(&self, sql: &str, parameters: &[(&(dyn ToSql + Sync), Type)]) -> anyhow::Result<Row> {
        self.run(async |client| client.query_typed_one(sql, parameters).await.map_err(explained)).await
    }
}

fn explained(error: tokio_postgres::Error) -> anyhow::Error {
    match error.as_db_error() {
        Some(refusal) if *refusal.code() == SqlState::UNDEFINED_TABLE => {
            anyhow!("{}: run `orderdb migrate up`", refusal.message())
        }
        Some(refusal) => anyhow!("{} (SQLSTATE {})", refusal.message(), refusal.code().code()),
        None => error.into(),
    }
}
