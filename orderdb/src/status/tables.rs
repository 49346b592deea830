//! Rows and sizes of the tables.

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio_postgres::{Row, types::Type};

use super::session::Session;

/// The rows of a table are counted up to this size. It takes some tenths of a second.
const MAX_COUNTED_BYTES: i64 = 64 << 20;
/// Number of tables that are shown, the largest ones.
const MAX_TABLES: i32 = 20;

#[derive(Debug, Serialize)]
pub struct TableStatus {
    pub name: String,
    /// `None` when it is neither counted nor estimated: the statistics were reset.
    pub rows: Option<i64>,
    pub rows_are: RowsAre,
    pub total_bytes: i64,
    pub table_bytes: i64,
    pub index_bytes: i64,
    pub toast_bytes: i64,
    pub dead_rows: Option<i64>,
    pub last_vacuum: Option<DateTime<Utc>>,
    pub last_analyze: Option<DateTime<Utc>>,
}

/// How the number of rows is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RowsAre {
    Counted,
    /// From the last ANALYZE or VACUUM and the size since, as the planner does; before the first one, from the
    /// statistics of inserts and deletes.
    Estimated,
    Unknown,
}

/// The table of the migrations is left out.
const QUERY: &str = "\
    SELECT c.relname::text AS name, quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS quoted, \
        has_table_privilege(c.oid, 'SELECT') AS is_readable, \
        coalesce(CASE WHEN c.reltuples >= 0 AND c.relpages > 0 THEN (c.reltuples::float8 / c.relpages \
            * (pg_relation_size(c.oid) / current_setting('block_size')::int))::bigint END, \
            nullif(s.n_live_tup, 0)) AS estimate, \
        pg_total_relation_size(c.oid) AS total_bytes, pg_relation_size(c.oid) AS table_bytes, \
        pg_indexes_size(c.oid) AS index_bytes, \
        coalesce(pg_total_relation_size(nullif(c.reltoastrelid, 0)), 0) AS toast_bytes, \
        s.n_dead_tup AS dead_rows, greatest(s.last_vacuum, s.last_autovacuum) AS last_vacuum, \
        greatest(s.last_analyze, s.last_autoanalyze) AS last_analyze \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
        LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid \
    WHERE c.relkind IN ('r', 'm') AND n.nspname = ANY (current_schemas(false)) \
        AND c.relname <> '__diesel_schema_migrations' \
    ORDER BY total_bytes DESC, name LIMIT $1";

/// The largest tables.
///
/// # Errors
/// When the server refuses a query or does not answer in time.
pub async fn tables(session: &Session) -> anyhow::Result<Vec<TableStatus>> {
    let rows = session.rows(QUERY, &[(&MAX_TABLES, Type::INT4)]).await?;
    let mut tables = Vec::with_capacity(rows.len());
    for row in &rows {
        tables.push(table(session, row).await);
    }
    Ok(tables)
}

async fn table(session: &Session, row: &Row) -> TableStatus {
    let table_bytes: i64 = row.get("table_bytes");
    let counted = match table_bytes <= MAX_COUNTED_BYTES && row.get("is_readable") {
        true => count(session, row.get("quoted")).await,
        false => None,
    };
    let (rows, rows_are) = match (counted, row.get::<_, Option<i64>>("estimate")) {
        (Some(count), _) => (Some(count), RowsAre::Counted),
        (None, Some(estimate)) => (Some(estimate), RowsAre::Estimated),
        (None, None) => (None, RowsAre::Unknown),
    };
    TableStatus {
        name: row.get("name"),
        rows,
        rows_are,
        total_bytes: row.get("total_bytes"),
        table_bytes,
        index_bytes: row.get("index_bytes"),
        toast_bytes: row.get("toast_bytes"),
        dead_rows: row.get("dead_rows"),
        last_vacuum: row.get("last_vacuum"),
        last_analyze: row.get("last_analyze"),
    }
}

/// `None` when the table could not be read in time: its estimate is shown then.
async fn count(session: &Session, table: &str) -> Option<i64> {
    let row = session.row(&format!("SELECT count(*) FROM {table}"), &[]).await;
    row.inspect_err(|error| tracing::debug!("the rows of {table} can't be counted: {error:#}"))
        .ok()
        .map(|row| row.get(0))
}
