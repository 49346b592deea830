//! The orders table in PostgreSQL: a connection that is opened again when it breaks, and what follows from an error.

use std::{
    collections::HashMap,
    ptr,
    sync::Arc,
    time::{Duration, Instant},
};

use shared::{
    database::{DatabaseSettings, ReconnectingClient, SqlError, StatementClient},
    wire::ReceivedChange,
};

use super::{
    changes::{
        classify::Verdict,
        invalidation::Invalidation,
        transaction::{RolledBack, Writing, store_all, store_changes},
    },
    failure::Failure,
    insert::InsertOrders,
    order_sink::{Attempt, BatchChange, BatchRow, OrderSink, Probe, Probed},
    probe::{Copied, probe},
    stored::read_stored,
    trial::changed_fields,
};
use crate::{
    health::{ConsumerHealth, ConsumerIssue},
    model::{OrderRow, PartitionHandle, RejectReason, StoredOrder, WorkerId},
    retry_scope::{Cancelled, RetryScope},
    settings::StatementSettings,
};

/// SQLSTATE read_only_sql_transaction: a standby, or a primary that was demoted.
const READ_ONLY: &str = "25006";

/// A connection of a worker to the database with the orders table, and the health that reports its outages.
pub struct OrderDatabase {
    client: ReconnectingClient,
    worker: WorkerId,
    health: Arc<ConsumerHealth>,
    /// Set while statements are smaller, since one took too long.
    limit: Option<RowLimit>,
    /// `None`: Redis is not told about changed orders.
    invalidation: Option<Arc<Invalidation>>,
}

/// The maximum number of rows of a statement, after one that took too long.
#[derive(Clone, Copy, Debug)]
struct RowLimit {
    rows: usize,
    /// How long the statement took that was too large.
    too_long: Duration,
}

impl OrderDatabase {
    /// Connects at the first statement.
    pub fn new(
        settings: DatabaseSettings,
        statements: StatementSettings,
        worker: WorkerId,
        health: Arc<ConsumerHealth>,
    ) -> Self {
        let StatementSettings { statements, statement_deadline } = statements;
        let client = ReconnectingClient::new(settings, statements, statement_deadline);
        Self { client, worker, health, limit: None, invalidation: None }
    }

    /// Invalidates changed orders in Redis.
    pub fn invalidating(mut self, invalidation: Option<Arc<Invalidation>>) -> Self {
        self.invalidation = invalidation;
        self
    }

    /// Returns the open connection. Opens one if there is none, and retries until it succeeds.
    ///
    /// # Errors
    /// [`Cancelled`] when `scope` ends first.
    pub async fn connected(&mut self, scope: &mut RetryScope<'_>) -> Result<&mut StatementClient, Cancelled> {
        while !self.try_connect(scope).await? {}
        self.client.open().ok_or(Cancelled)
    }

    /// Returns the open connection, or tries once to open one.
    ///
    /// # Errors
    /// [`Cancelled`] when `scope` has ended; the inner error when the connection can't be opened.
    pub async fn connected_once(
        &mut self,
        scope: &RetryScope<'_>,
    ) -> Result<anyhow::Result<&mut StatementClient>, Cancelled> {
        scope.check()?;
        scope.run(self.client.connected()).await
    }

    /// Connects if there is no connection. When that fails, waits for the next delay of `scope` and returns false.
    async fn try_connect(&mut self, scope: &mut RetryScope<'_>) -> Result<bool, Cancelled> {
        let Err(error) = self.connected_once(scope).await? else { return Ok(true) };
        self.back_off_after(format!("{error:#}"), scope).await;
        Ok(false)
    }

    /// Closes the connection, reports the outage, and waits for the next delay of `scope`.
    pub async fn back_off_after(&mut self, error: String, scope: &mut RetryScope<'_>) {
        self.client.disconnect();
        let (settings, worker) = (self.client.settings(), self.worker);
        let message = format!(
            "PostgreSQL: the database {settings} is lost for worker {worker}: {error}; retrying until it is back"
        );
        scope.report(&self.health, ConsumerIssue::Database(worker), message);
        scope.back_off().await;
    }

    /// Halves the limit after a statement of `rows` rows that took too long.
    fn lower_limit(&mut self, rows: usize, took: Duration) {
        self.limit = Some(RowLimit { rows: (rows / 2).max(1), too_long: took });
    }

    /// Doubles the limit after a statement of `rows` rows that leaves room for twice as many.
    fn raise_limit(&mut self, rows: usize, took: Duration) {
        if let Some(limit) = self.limit.as_mut().filter(|limit| rows >= limit.rows && took * 4 < limit.too_long) {
            limit.rows = limit.rows.saturating_mul(2);
        }
    }

    /// Reports a statement that failed because of a row, or because the table accepts no order.
    fn report_suspect(&mut self, what: &str, rows: usize, error: &SqlError, scope: &mut RetryScope<'_>) {
        // The error may be about the state of the connection.
        self.client.disconnect();
        let (settings, worker) = (self.client.settings(), self.worker);
        let message = format!(
            "PostgreSQL: {what} of worker {worker} into {settings} fails, with {rows} rows: {error}; retrying, and \
             isolating the row if others are accepted"
        );
        scope.report(&self.health, ConsumerIssue::Database(worker), message);
    }

    /// Reports a statement that took too long. The issue lasts until the batch is stored.
    fn report_slow(&mut self, what: &str, rows: usize, error: &SqlError, scope: &mut RetryScope<'_>) {
        // After our own timeout, the connection must not be used again.
        self.client.disconnect();
        let (settings, worker) = (self.client.settings(), self.worker);
        let next = if rows > 1 { "retrying with half of them" } else { "the row may wait for a lock; retrying" };
        let message = format!(
            "PostgreSQL: {what} of worker {worker} into {settings} takes too long, with {rows} rows: {error}; {next}"
        );
        scope.report(&self.health, ConsumerIssue::SlowStatements(worker), message);
    }

    /// Notes a statement or transaction of `rows` rows that was accepted.
    fn succeeded(&mut self, rows: usize, took: Duration) {
        self.raise_limit(rows, took);
        self.health.resolve(ConsumerIssue::Database(self.worker));
    }

    /// What an error means for the `rows` rows that were written. Waits for a backoff, unless they are written in
    /// another way next.
    async fn failed<Answer>(
        &mut self,
        what: &str,
        rows: usize,
        error: SqlError,
        took: Duration,
        scope: &mut RetryScope<'_>,
    ) -> Attempt<Answer> {
        match Failure::of(&error) {
            Failure::Data => {
                self.health.resolve(ConsumerIssue::Database(self.worker));
                return Attempt::Refused(error.into());
            }
            Failure::Suspect => {
                self.report_suspect(what, rows, &error, scope);
                return Attempt::Suspect(error);
            }
            Failure::TooLong => {
                self.report_slow(what, rows, &error, scope);
                self.lower_limit(rows, took);
                if rows > 1 {
                    return Attempt::TooLong;
                }
                scope.back_off().await;
            }
            // After it was prepared anew, the statement is not stale: the table does not support what the row has.
            Failure::StalePreparedStatement if error.sqlstate() == Some("0A000") && !scope.is_first_attempt() => {
                self.report_suspect(what, rows, &error, scope);
                return Attempt::Suspect(error);
            }
            Failure::StalePreparedStatement => self.prepare_again(&error, scope).await,
            Failure::Outage => {
                // After a failover, connections that only read would stay at the old primary.
                if error.sqlstate() == Some(READ_ONLY) {
                    self.client.disconnect_all();
                }
                self.back_off_after(error.to_string(), scope).await;
            }
        }
        Attempt::Unknown
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
                 set DB_POOLER=transaction"
            );
            scope.report(&self.health, ConsumerIssue::Database(self.worker), message);
        }
        scope.back_off().await;
    }
}

/// The handles of a batch, each once: a batch has many records of few partitions, and a handle is locked when it is
/// asked.
fn distinct<'a>(partitions: impl Iterator<Item = &'a PartitionHandle>) -> Vec<&'a PartitionHandle> {
    let mut partitions: Vec<&PartitionHandle> = partitions.collect();
    partitions.sort_unstable_by_key(|partition| ptr::from_ref(*partition));
    partitions.dedup_by(|a, b| ptr::eq(*a, *b));
    partitions
}

impl OrderSink for OrderDatabase {
    fn max_rows(&self) -> usize {
        self.limit.map_or(usize::MAX, |limit| limit.rows)
    }

    async fn insert(&mut self, rows: &[&OrderRow], scope: &mut RetryScope<'_>) -> Result<Attempt<u64>, Cancelled> {
        // One attempt: before the next, the partitions of the rows may be revoked.
        if !self.try_connect(scope).await? {
            return Ok(Attempt::Unknown);
        }
        let client = self.client.open().ok_or(Cancelled)?;
        let insert = InsertOrders::of(rows);
        let began = Instant::now();
        match scope.run(client.execute(&insert)).await? {
            Ok(inserted) => {
                self.succeeded(rows.len(), began.elapsed());
                Ok(Attempt::Accepted(inserted))
            }
            Err(error) => Ok(self.failed("an insert", rows.len(), error, began.elapsed(), scope).await),
        }
    }

    async fn store_all(
        &mut self,
        rows: &[BatchRow<'_>],
        changes: &[BatchChange<'_>],
        scope: &mut RetryScope<'_>,
    ) -> Result<Option<Vec<Verdict>>, Cancelled> {
        if !self.try_connect(scope).await? {
            return Ok(None);
        }
        let client = self.client.open().ok_or(Cancelled)?;
        let partitions = rows.iter().map(|row| row.partition).chain(changes.iter().map(|change| change.partition));
        let partitions = distinct(partitions);
        let is_assigned = || !partitions.iter().any(|partition| partition.is_revoked());
        let writing = Writing { is_assigned: &is_assigned, invalidation: self.invalidation.as_deref() };
        let orders: Vec<&OrderRow> = rows.iter().map(|row| row.row).collect();
        let changed: Vec<_> = changes.iter().map(|change| change.change).collect();
        let began = Instant::now();
        match scope.run(store_all(client, &orders, &changed, &writing)).await? {
            Ok(verdicts) => {
                self.succeeded(rows.len() + changes.len(), began.elapsed());
                Ok(Some(verdicts))
            }
            Err(reason) => {
                tracing::debug!(?reason, "PostgreSQL: a batch with changes is stored in parts");
                if let RolledBack::Failed(error) = &reason
                    && Failure::of(error) != Failure::Data
                {
                    // It may be broken, or in the middle of a statement. What the error means, the next attempt shows.
                    self.client.disconnect();
                }
                Ok(None)
            }
        }
    }

    async fn store_changes(
        &mut self,
        changes: &[BatchChange<'_>],
        scope: &mut RetryScope<'_>,
    ) -> Result<Attempt<Vec<Verdict>>, Cancelled> {
        if !self.try_connect(scope).await? {
            return Ok(Attempt::Unknown);
        }
        let client = self.client.open().ok_or(Cancelled)?;
        let partitions = distinct(changes.iter().map(|change| change.partition));
        let is_assigned = || !partitions.iter().any(|partition| partition.is_revoked());
        let writing = Writing { is_assigned: &is_assigned, invalidation: self.invalidation.as_deref() };
        let changed: Vec<&ReceivedChange> = changes.iter().map(|change| change.change).collect();
        // Those of an order stay together.
        let orders = changed.chunk_by(|a, b| a.order_id == b.order_id).count();
        let began = Instant::now();
        match scope.run(store_changes(client, &changed, &writing)).await? {
            Ok(verdicts) => {
                self.succeeded(orders, began.elapsed());
                Ok(Attempt::Accepted(verdicts))
            }
            Err(RolledBack::Failed(error)) => {
                Ok(self.failed("a transaction", orders, error, began.elapsed(), scope).await)
            }
            Err(RolledBack::NotKept) => Ok(Attempt::Refused(RejectReason::NotKept)),
            Err(RolledBack::Irregular | RolledBack::Revoked) => Ok(Attempt::Unknown),
        }
    }

    async fn probe(&mut self, probed: Probed, scope: &mut RetryScope<'_>) -> Result<Probe, Cancelled> {
        let mut result = Probe::Inconclusive;
        for copied in Copied::ALL {
            if !self.try_connect(scope).await? {
                return Ok(Probe::Fails);
            }
            let client = self.client.open().ok_or(Cancelled)?;
            match scope.run(probe(client, probed, copied)).await? {
                Ok(Probe::Accepts) => return Ok(Probe::Accepts),
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(%error, ?copied, "PostgreSQL: the table does not accept a copy of a row");
                    // After our own timeout, the connection must not be used again.
                    self.client.disconnect();
                    result = Probe::Fails;
                }
            }
        }
        Ok(result)
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

    async fn changed_fields(
        &mut self,
        rows: &[&OrderRow],
        scope: &mut RetryScope<'_>,
    ) -> Result<HashMap<String, Vec<&'static str>>, Cancelled> {
        loop {
            let client = self.connected(scope).await?;
            match scope.run(changed_fields(client, rows)).await? {
                Ok(changed) => return Ok(changed),
                Err(error) if Failure::of(&error) == Failure::Outage => {
                    self.back_off_after(error.to_string(), scope).await;
                }
                Err(error) => {
                    tracing::debug!(%error, "PostgreSQL: the table does not accept copies of conflicting orders");
                    self.client.disconnect();
                    return Ok(HashMap::new());
                }
            }
        }
    }
}
