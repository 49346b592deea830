//! Rows by one id, for applications.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use serde_json::Value;

use super::{
    cached_row::CachedRow,
    connections::QueryConnections,
    field::{RowField, field_of, select_field},
    read_error::ReadError,
    row_cache::RowCache,
    single_flight::SingleFlight,
    table::{LookupRow, select_rows},
};

/// A row or a value, or none when there is no such row. The error is shared by all that waited for one query.
pub type ReadResult<T> = Result<Option<T>, Arc<ReadError>>;

/// Reads the rows of one table by id: from Redis, else from the database, and back into Redis.
///
/// Simultaneous reads of one id are one query. That there is no row is not cached. A single field that Redis does not
/// have is read alone, and not cached. A program that changes rows calls [`RowCache::invalidate`] before its COMMIT,
/// and [`Self::committed`] of its own readers after it.
pub struct RowReader<Row: LookupRow> {
    cache: Arc<RowCache>,
    database: Arc<QueryConnections>,
    rows: SingleFlight<(u64, Row::Id), ReadResult<Arc<Row>>>,
    fields: SingleFlight<(u64, Row::Id, &'static str), ReadResult<Value>>,
    /// Number of calls of [`Self::committed`].
    generation: AtomicU64,
}

impl<Row: LookupRow + CachedRow<Whole = Row>> RowReader<Row> {
    /// Readers of several tables share a cache and connections.
    pub fn new(cache: Arc<RowCache>, database: Arc<QueryConnections>) -> Self {
        let (rows, fields) = (SingleFlight::new(), SingleFlight::new());
        Self { cache, database, rows, fields, generation: AtomicU64::new(0) }
    }

    /// Reads a row.
    ///
    /// # Errors
    /// When Redis does not have the row, and the database fails.
    pub async fn row(&self, id: &Row::Id) -> ReadResult<Arc<Row>> {
        let key = (self.generation.load(Ordering::Relaxed), id.clone());
        self.rows.run(&key, self.load_row(id)).await
    }

    /// Reads one field of a row, such as the status of an order.
    ///
    /// # Errors
    /// As [`Self::row`].
    pub async fn field(&self, id: &Row::Id, field: impl RowField<Whole = Row>) -> ReadResult<Value> {
        let key = (self.generation.load(Ordering::Relaxed), id.clone(), field.column());
        self.fields.run(&key, self.load_field(id, field)).await
    }

    /// Lets no later read share a query that began before a COMMIT of this program, and may have the row of before it.
    pub fn committed(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    async fn load_row(&self, id: &Row::Id) -> ReadResult<Arc<Row>> {
        if let Some((_, row)) = self.cache.find::<Row>(vec![id.clone()]).await.found.pop() {
            return Ok(Some(Arc::new(row)));
        }
        let queried_at = Instant::now();
        let query = async |database: &mut _| select_rows::<Row>(database, vec![id.as_ref()]).await;
        let rows = self.database.query(query).await.map_err(Arc::new)?;
        self.cache.fill(&rows, queried_at).await;
        Ok(rows.into_iter().next().map(Arc::new))
    }

    async fn load_field(&self, id: &Row::Id, field: impl RowField<Whole = Row>) -> ReadResult<Value> {
        if let Some((_, row)) = self.cache.find::<Row>(vec![id.clone()]).await.found.pop() {
            return Ok(Some(field_of(&row, field)));
        }
        let query = async |database: &mut _| select_field(database, id.as_ref(), field).await;
        self.database.query(query).await.map_err(Arc::new)
    }
}
