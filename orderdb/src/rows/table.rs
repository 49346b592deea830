//! What differs between the tables.

use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};
use diesel::{pg::Pg, query_builder::QueryFragment};
use shared::{
    database::StatementClient,
    lookup::{CachedRow, LookupRow, RowField},
};

use crate::settings::RowAction;

/// The actions on the rows of a table.
pub type ActionOn<Row> =
    RowAction<<Row as Table>::Create, <Row as Table>::Filter, <Row as Table>::Change, <Row as Table>::Field>;

/// A statement with rows as its result.
pub trait RowQuery: QueryFragment<Pg> {}

impl<Query: QueryFragment<Pg>> RowQuery for Query {}

/// The row before which a page begins.
pub struct After {
    pub id: String,
    pub created_at: DateTime<Utc>,
}

/// A whole row of a table.
pub trait Table: LookupRow + CachedRow<Whole = Self> {
    type Create: Args;
    type Filter: Args;
    type Change: Args;
    type Field: RowField<Whole = Self> + ValueEnum + Clone;

    /// The columns of a list as a table, which fit a terminal.
    const BRIEF: &'static [&'static str];

    /// Inserts a row, in a transaction, and returns it.
    fn insert(create: &Self::Create, database: &mut StatementClient) -> impl Future<Output = anyhow::Result<Self>>;

    /// Changes this row as it will be stored, in the transaction that stores it.
    ///
    /// # Errors
    /// When the table does not accept the values.
    fn apply(
        &mut self,
        change: &Self::Change,
        database: &mut StatementClient,
    ) -> impl Future<Output = anyhow::Result<()>>;

    /// The row of `id`, locked until the end of the transaction.
    fn select_locked(id: &str) -> impl RowQuery;

    /// Writes all columns of this row.
    fn update(self) -> impl RowQuery;

    /// Deletes rows, and returns them.
    fn delete(ids: &[String]) -> impl RowQuery;

    /// The orders that refer to one of these rows, as a count; none for a table to which nothing refers.
    fn references(ids: &[String]) -> Option<impl RowQuery>;

    /// The rows of the histories that are deleted with these rows, as a count; none for a table without histories.
    fn history_size(ids: &[String]) -> Option<impl RowQuery>;

    /// The history of a row, ordered by its numbers; none for a table without histories.
    fn history(id: &str) -> Option<impl RowQuery>;

    /// A page of rows with `created_at`, newest first.
    fn page(filter: &Self::Filter, after: Option<After>, limit: i64) -> impl RowQuery;

    /// When the row of `id` was created.
    fn created_at(id: &str) -> impl RowQuery;
}
