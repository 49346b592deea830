//! A connection to the server itself, for statements that a deadline and a stop signal end.

use std::{future::Future, time::Duration};

use anyhow::bail;
use shared::database::{DatabaseSettings, SqlError, cancel, connect_session};
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

pub struct Session {
    pub client: Client,
    pub database: DatabaseSettings,
    pub stop: CancellationToken,
    deadline: Duration,
}

impl Session {
    /// Each call of [`Self::run`] and of what builds on it may take `deadline`, and ends when `stop` is cancelled.
    ///
    /// # Errors
    /// When the server can't be reached, or there is only a pooler in transaction mode.
    pub async fn open(
        database: &DatabaseSettings,
        deadline: Duration,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let Some(client) = stop.run_until_cancelled(connect_session(database)).await else {
            bail!("interrupted: nothing was changed");
        };
        let session = Self { client: client?, database: database.direct().clone(), stop, deadline };
        // As in the sessions of Diesel, whose table of migrations has times without a zone.
        session.run(async { Ok(session.batch("SET TIME ZONE 'UTC'").await?) }).await?;
        Ok(session)
    }

    /// Waits for `work`, which sends statements over this connection. When it does not end in time, the server gets a
    /// request to cancel the statement, and the connection must not be used again.
    ///
    /// # Errors
    /// Those of `work`; when the deadline has passed, or the program was told to stop.
    pub async fn run<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let reason = tokio::select! {
            ended = tokio::time::timeout(self.deadline, work) => match ended {
                Ok(result) => return result,
                Err(_) => format!(
                    "no answer from database {} within {}: another session may have locked the tables (see \
                     pg_stat_activity); --statement-deadline sets the limit",
                    self.database,
                    humantime::format_duration(self.deadline)
                ),
            },
            () = self.stop.cancelled() => "interrupted: what was not committed is rolled back".to_owned(),
        };
        cancel(self.database.clone(), self.client.cancel_token()).await;
        bail!(reason)
    }

    /// Runs `work` in a transaction, and commits when it succeeds.
    ///
    /// # Errors
    /// Those of [`Self::run`], of `BEGIN` and of `COMMIT`.
    pub async fn transaction<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        self.run(async {
            self.batch("BEGIN").await?;
            let result = work.await;
            self.batch(if result.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
            result
        })
        .await
    }

    /// Runs `work` in a transaction that is rolled back in any case.
    ///
    /// # Errors
    /// Those of [`Self::run`] and of `BEGIN`.
    pub async fn rolled_back<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        self.run(async {
            self.batch("BEGIN").await?;
            let result = work.await;
            self.batch("ROLLBACK").await?;
            result
        })
        .await
    }

    /// Sends statements without parameters. Within [`Self::run`] only, which has the deadline.
    ///
    /// # Errors
    /// The server's message, with its SQLSTATE.
    pub async fn batch(&self, sql: &str) -> Result<(), SqlError> {
        Ok(self.client.batch_execute(sql).await?)
    }
}
