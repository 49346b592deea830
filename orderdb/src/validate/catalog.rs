//! A schema as the server describes it, without the name of the schema.

use std::collections::BTreeMap;

use shared::database::SqlError;
use tokio_postgres::{Client, Row, types::Type};

const TABLES: [&str; 5] = ["users", "products", "orders", "order_events", "cache_rounds"];

const RELATIONS: &str = "\
    SELECT c.relname::text, c.relkind::text, c.relrowsecurity \
    FROM pg_class c WHERE c.relnamespace = $1::regnamespace AND c.relname = ANY($2)";

/// The collation of the database counts as "C" where it is that.
const COLUMNS: &str = "\
    SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull, \
        pg_get_expr(d.adbin, d.adrelid), a.attidentity <> '' OR a.attgenerated <> '', \
        CASE l.collname WHEN 'default' THEN ( \
            SELECT CASE WHEN b.datcollate IN ('C', 'POSIX') AND COALESCE(to_jsonb(b) ->> 'datlocprovider', 'c') = 'c' \
                THEN 'C' ELSE 'default' END \
            FROM pg_database b WHERE b.datname = current_database()) ELSE l.collname::text END \
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum \
    LEFT JOIN pg_collation l ON l.oid = a.attcollation \
    WHERE c.relnamespace = $1::regnamespace AND c.relname = ANY($2)";

/// The rules of NOT NULL are those of columns, also where the server has constraints for them.
const CONSTRAINTS: &str = "\
    SELECT c.relname::text, k.conname::text, k.contype::text, pg_get_constraintdef(k.oid, true) \
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid \
    WHERE c.relnamespace = $1::regnamespace AND c.relname = ANY($2) AND k.contype IN ('p', 'u', 'f', 'c', 'x') \
    ORDER BY c.relname, k.conname";

/// Those of constraints are left out.
const INDEXES: &str = "\
    SELECT c.relname::text, x.relname::text, i.indisunique, i.indisvalid, pg_get_indexdef(x.oid, 0, true) \
    FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid \
    WHERE c.relnamespace = $1::regnamespace AND c.relname = ANY($2) \
        AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.oid AND k.contype IN ('p', 'u', 'x')) \
    ORDER BY c.relname, x.relname";

const TRIGGERS: &str = "\
    SELECT c.relname::text, t.tgname::text, pg_get_triggerdef(t.oid, true), t.tgenabled IN ('O', 'A'), p.prosrc \
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid \
    WHERE c.relnamespace = $1::regnamespace AND c.relname = ANY($2) AND NOT t.tgisinternal";

/// The tables of orderflow that are in a schema, and what belongs to them.
pub struct Catalog {
    pub tables: BTreeMap<String, Table>,
}

#[derive(Default)]
pub struct Table {
    /// `r` for a table, `p` for one with partitions; others are views and the like.
    pub kind: String,
    pub has_row_security: bool,
    pub columns: BTreeMap<String, Column>,
    pub constraints: Vec<Constraint>,
    pub indexes: Vec<Index>,
    pub triggers: BTreeMap<String, Trigger>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub sql_type: String,
    pub not_null: bool,
    pub default: Option<String>,
    /// The server makes the value (identity, generated).
    pub is_generated: bool,
    pub collation: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConstraintKind {
    PrimaryKey,
    Unique,
    ForeignKey,
    Check,
    Exclusion,
}

#[derive(Clone, Debug)]
pub struct Constraint {
    pub name: String,
    pub kind: ConstraintKind,
    pub definition: String,
}

#[derive(Clone, Debug)]
pub struct Index {
    pub name: String,
    pub is_unique: bool,
    pub is_valid: bool,
    /// Method, columns and condition, without the name.
    pub definition: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    pub definition: String,
    pub is_enabled: bool,
    /// The source of its function.
    pub source: String,
}

impl Catalog {
    /// Reads `schema`, a quoted name, which must be first in the search path: the server leaves out its name then.
    ///
    /// # Errors
    /// When the server fails.
    pub async fn read(client: &Client, schema: &str) -> Result<Self, SqlError> {
        let names = TABLES.as_slice();
        let query = async |sql: &str| -> Result<Vec<Row>, SqlError> {
            Ok(client.query_typed(sql, &[(&schema, Type::TEXT), (&names, Type::TEXT_ARRAY)]).await?)
        };
        let mut tables: BTreeMap<String, Table> = BTreeMap::new();
        for row in query(RELATIONS).await? {
            tables.insert(row.get(0), Table { kind: row.get(1), has_row_security: row.get(2), ..Table::default() });
        }
        // A table may be created between two queries.
        for row in query(COLUMNS).await? {
            let column = Column {
                sql_type: row.get(2),
                not_null: row.get(3),
                default: row.get(4),
                is_generated: row.get(5),
                collation: row.get(6),
            };
            tables.entry(row.get(0)).or_default().columns.insert(row.get(1), column);
        }
        for row in query(CONSTRAINTS).await? {
            let kind = match row.get::<_, &str>(2) {
                "p" => ConstraintKind::PrimaryKey,
                "u" => ConstraintKind::Unique,
                "f" => ConstraintKind::ForeignKey,
                "c" => ConstraintKind::Check,
                _ => ConstraintKind::Exclusion,
            };
            let constraint = Constraint { name: row.get(1), kind, definition: row.get(3) };
            tables.entry(row.get(0)).or_default().constraints.push(constraint);
        }
        for row in query(INDEXES).await? {
            let definition: &str = row.get(4);
            let (_, definition) = definition.split_once(" USING ").unwrap_or(("", definition));
            let index = Index {
                name: row.get(1),
                is_unique: row.get(2),
                is_valid: row.get(3),
                definition: definition.to_owned(),
            };
            tables.entry(row.get(0)).or_default().indexes.push(index);
        }
        for row in query(TRIGGERS).await? {
            let source: &str = row.get(4);
            let trigger = Trigger { definition: row.get(2), is_enabled: row.get(3), source: source.trim().to_owned() };
            tables.entry(row.get(0)).or_default().triggers.insert(row.get(1), trigger);
        }
        Ok(Self { tables })
    }
}
