//! Counts statements with pg_stat_statements.

use anyhow::{Context, ensure};
use shared::database::{DatabaseSettings, connect};
use tokio_postgres::Client;

/// Counts the statements that one database receives from all clients, without the counter's own.
pub struct StatementCounter(Client);

impl StatementCounter {
    /// # Errors
    /// When the server does not have pg_stat_statements loaded.
    pub async fn connect(database: &DatabaseSettings) -> anyhow::Result<Self> {
        let client = connect(database).await?;
        let loaded: String = client.query_one("SHOW shared_preload_libraries", &[]).await?.get(0);
        ensure!(
            loaded.contains("pg_stat_statements"),
            "the database server does not count statements: start it with \
             shared_preload_libraries=pg_stat_statements, as deploy/stack does"
        );
        let extension = "CREATE EXTENSION IF NOT EXISTS pg_stat_statements";
        client.batch_execute(extension).await.context("the extension pg_stat_statements can't be created")?;
        Ok(Self(client))
    }

    /// The number of statements since the database was created.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn count(&self) -> anyhow::Result<i64> {
        let query = "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements \
                     WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) \
                     AND query NOT LIKE '%pg_stat_statements%'";
        Ok(self.0.query_one(query, &[]).await?.get(0))
    }
}
