use std::{future::Future, time::Duration};

use anyhow::bail;
use diesel_async::AsyncPgConnection;
use tokio_postgres::CancelToken;

use super::{connect::cancel, settings::DatabaseSettings};

/// The deadline of the statements that Diesel runs itself on one connection (invariant 12).
pub struct StatementDeadline {
    settings: DatabaseSettings,
    token: CancelToken,
    deadline: Duration,
}

impl StatementDeadline {
    /// Each call of [`Self::run`] may take `deadline`.
    pub fn new(settings: &DatabaseSettings, connection: &AsyncPgConnection, deadline: Duration) -> Self {
        Self { settings: settings.direct().clone(), token: connection.cancel_token(), deadline }
    }

    /// Waits for `statement`, a statement of this connection. After the deadline the server gets a request to cancel
    /// it, but may have executed it, and the connection must not be used again.
    ///
    /// # Errors
    /// When the deadline has passed.
    pub async fn run<T>(&self, statement: impl Future<Output = T>) -> anyhow::Result<T> {
        match tokio::time::timeout(self.deadline, statement).await {
            Ok(result) => Ok(result),
            Err(_) => {
                cancel(self.settings.clone(), self.token.clone()).await;
                let (settings, deadline) = (&self.settings, humantime::format_duration(self.deadline));
                bail!(
                    "no answer from database {settings} within {deadline}: another session may have locked the \
                     tables (see pg_stat_activity); --statement-deadline sets the limit"
                )
            }
        }
    }
}
