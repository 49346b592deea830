//! Indexes that are not used, not valid, or missing.

use serde::Serialize;
use tokio_postgres::Row;

use super::session::Session;

#[derive(Debug, Serialize)]
pub struct IndexStatus {
    /// Of 1 MiB and more, and not used since the statistics began. Those of constraints and unique ones are not among
    /// them: they are there for what they refuse.
    pub unused: Vec<Index>,
    /// An interrupted CREATE INDEX CONCURRENTLY leaves one: it is updated, but never read.
    pub invalid: Vec<Index>,
    pub missing: Vec<MissingIndex>,
}

#[derive(Debug, Serialize)]
pub struct Index {
    pub name: String,
    pub table: String,
    pub bytes: i64,
}

/// Why an index may be missing.
#[derive(Debug, Serialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum MissingIndex {
    /// Each DELETE of a referenced row reads the whole table. It is one of those that had deletes.
    ForeignKey { table: String, columns: String, references: String, deletes: i64 },
    /// The table is mostly read from end to end.
    SequentialScans { table: String, scans: i64, rows_a_scan: i64 },
}

const UNUSED: &str = "\
    SELECT s.indexrelname::text AS name, s.relname::text AS table, pg_relation_size(s.indexrelid) AS bytes, \
        i.indisvalid AS is_valid \
    FROM pg_stat_user_indexes s JOIN pg_index i ON i.indexrelid = s.indexrelid \
    WHERE s.schemaname = ANY (current_schemas(false)) AND (NOT i.indisvalid OR s.idx_scan = 0 AND NOT i.indisunique \
        AND pg_relation_size(s.indexrelid) >= 1 << 20 \
        AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = s.indexrelid)) \
    ORDER BY bytes DESC, name";

/// Of tables above 8 MiB, and only where rows of the referenced table are deleted at all: orders has no index of its
/// users and products, which would slow down its inserts.
const FOREIGN_KEYS: &str = "\
    SELECT c.relname::text AS table, r.relname::text AS references, r.n_tup_del AS deletes, \
        (SELECT string_agg(a.attname, ', ' ORDER BY k.n) FROM unnest(f.conkey) WITH ORDINALITY k (attnum, n) \
            JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.attnum) AS columns \
    FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
        JOIN pg_stat_user_tables r ON r.relid = f.confrelid \
    WHERE f.contype = 'f' AND n.nspname = ANY (current_schemas(false)) AND r.n_tup_del > 0 \
        AND pg_relation_size(c.oid) > 8 << 20 \
        AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = f.conrelid AND i.indisvalid \
            AND i.indpred IS NULL AND (i.indkey::int2[])[0:cardinality(f.conkey) - 1] @> f.conkey) \
    ORDER BY 1, 4";

/// Many scans of many rows, and more of them than by indexes. A few are those of counts, dumps and ANALYZE.
const SEQUENTIAL_SCANS: &str = "\
    SELECT relname::text AS table, seq_scan AS scans, seq_tup_read / seq_scan AS rows_a_scan \
    FROM pg_stat_user_tables \
    WHERE schemaname = ANY (current_schemas(false)) AND seq_scan >= 100 AND seq_tup_read / seq_scan >= 10000 \
        AND seq_scan > coalesce(idx_scan, 0) \
    ORDER BY seq_tup_read DESC";

/// # Errors
/// When the server refuses a query or does not answer in time.
pub async fn indexes(session: &Session) -> anyhow::Result<IndexStatus> {
    let index = |row: &Row| Index { name: row.get("name"), table: row.get("table"), bytes: row.get("bytes") };
    let rows = session.rows(UNUSED, &[]).await?;
    let (unused, invalid): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.get("is_valid"));
    let foreign_keys = session.rows(FOREIGN_KEYS, &[]).await?;
    let foreign_keys = foreign_keys.iter().map(|row| MissingIndex::ForeignKey {
        table: row.get("table"),
        columns: row.get("columns"),
        references: row.get("references"),
        deletes: row.get("deletes"),
    });
    let scans = session.rows(SEQUENTIAL_SCANS, &[]).await?;
    let scans = scans.iter().map(|row| MissingIndex::SequentialScans {
        table: row.get("table"),
        scans: row.get("scans"),
        rows_a_scan: row.get("rows_a_scan"),
    });
    Ok(IndexStatus {
        unused: unused.into_iter().map(index).collect(),
        invalid: invalid.into_iter().map(index).collect(),
        missing: foreign_keys.chain(scans).collect(),
    })
}
