//! A table that nobody else can read or write.

use std::time::Duration;

use anyhow::{Context, ensure};
use shared::database::{DatabaseSettings, connect_session};
use tokio_postgres::Client;

/// For the other transactions that use the table to end.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);
/// After the planned end, the server ends the transaction by itself: this process may have been killed, or cut off.
const GUARD: Duration = Duration::from_secs(10);
const ROLLBACK_TIMEOUT: Duration = Duration::from_secs(5);

/// A transaction that holds `ACCESS EXCLUSIVE` on a table. It ends when this is dropped.
pub struct TableLock {
    client: Client,
}

impl TableLock {
    /// Waits for the lock. `lasting` is how long it will be held; `None` is without a limit.
    ///
    /// # Errors
    /// When the table does not exist, or its users do not end their transactions.
    pub async fn acquire(database: &DatabaseSettings, table: &str, lasting: Option<Duration>) -> anyhow::Result<Self> {
        let client = connect_session(database).await?;
        let limits = format!(
            "SET lock_timeout = {}; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = {}",
            LOCK_TIMEOUT.as_millis(),
            lasting.map_or(0, |lasting| (lasting + GUARD).as_millis())
        );
        client.batch_execute(&limits).await?;
        let quoted = table.replace('"', "\"\"");
        let lock = format!("BEGIN; LOCK TABLE \"{quoted}\" IN ACCESS EXCLUSIVE MODE");
        client.batch_execute(&lock).await.with_context(|| format!("table {table} can't be locked"))?;
        Ok(Self { client })
    }

    /// Ends the transaction.
    ///
    /// # Errors
    /// When the server does not answer. It ends the transaction by itself later.
    pub async fn release(&self) -> anyhow::Result<()> {
        // The server has ended the transaction of a closed connection.
        if self.client.is_closed() {
            return Ok(());
        }
        let rolled_back = tokio::time::timeout(ROLLBACK_TIMEOUT, self.client.batch_execute("ROLLBACK")).await;
        ensure!(
            matches!(rolled_back, Ok(Ok(()))) || self.client.is_closed(),
            "PostgreSQL does not answer to the end of the lock; it ends the lock at the latest {GUARD:?} after its time"
        );
        Ok(())
    }
}
