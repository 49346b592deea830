//! The orders and changes of dead letters that are in the tables.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, bail};
use shared::database::{DatabaseSettings, connect};
use tokio_postgres::{Client, Row, types::Type};

use crate::model::{StoredChange, StoredOrder};

/// Maximum number of orders that one query looks up.
const LOOKUP_BATCH: usize = 5_000;
/// Timeout of a query (invariant 12).
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(30);

/// What the tables have.
#[derive(Debug, Default)]
pub struct StoredEvents {
    /// By order id.
    orders: HashMap<String, StoredOrder>,
    /// By order id and sequence.
    changes: HashMap<(String, i32), StoredChange>,
}

impl StoredEvents {
    /// Looks up the orders with the first ids, and the histories of those with the second.
    ///
    /// # Errors
    /// When a table can't be read, or is locked for longer than [`LOOKUP_TIMEOUT`].
    pub async fn read(database: &DatabaseSettings, orders: &[&str], changed: &[&str]) -> anyhow::Result<Self> {
        let client = connect(database).await?;
        let mut stored = Self::default();
        for row in look_up(&client, database, StoredOrder::QUERY, orders).await? {
            let (id, order) = StoredOrder::of_row(&row)?;
            stored.orders.insert(id, order);
        }
        for row in look_up(&client, database, StoredChange::QUERY, changed).await? {
            let (id, sequence, change) = StoredChange::of_row(&row)?;
            stored.changes.insert((id, sequence), change);
        }
        Ok(stored)
    }

    pub fn order(&self, id: &str) -> Option<&StoredOrder> {
        self.orders.get(id)
    }

    pub fn change(&self, id: &str, sequence: i32) -> Option<&StoredChange> {
        self.changes.get(&(id.to_owned(), sequence))
    }
}

/// Runs `query`, whose parameter is the array of ids, for some ids at a time.
async fn look_up(client: &Client, database: &DatabaseSettings, query: &str, ids: &[&str]) -> anyhow::Result<Vec<Row>> {
    let mut found = Vec::new();
    for batch in ids.chunks(LOOKUP_BATCH) {
        let Ok(rows) =
            tokio::time::timeout(LOOKUP_TIMEOUT, client.query_typed(query, &[(&batch, Type::TEXT_ARRAY)])).await
        else {
            bail!(
                "no answer from database {database} within {LOOKUP_TIMEOUT:?}: another session may have locked table \
                 orders (see pg_stat_activity)"
            );
        };
        found.extend(rows.context("the orders can't be looked up")?);
    }
    Ok(found)
}
