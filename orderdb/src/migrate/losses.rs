//! What reverting migrations destroys. It is tried in a transaction that is rolled back, and the tables before and after
//! are compared: no list of what each migration drops is kept.

use std::collections::BTreeMap;

use anyhow::Context;
use shared::database::SqlError;
use tokio_postgres::{Client, types::Oid};

use super::{
    source::{Migration, Mode},
    step::revert_in_transaction,
};
use crate::session::Session;

/// The tables of users of the database, with their columns. A table that was truncated or rewritten has another file.
const TABLES: &str = "\
    SELECT c.oid, c.oid::regclass::text AS name, pg_relation_filenode(c.oid) AS file, \
        array_agg(a.attnum::int ORDER BY a.attnum) AS numbers, \
        array_agg(a.attname::text ORDER BY a.attnum) AS columns, \
        array_agg(quote_ident(a.attname) ORDER BY a.attnum) AS quoted, \
        COALESCE((SELECT n_tup_del FROM pg_stat_xact_all_tables WHERE relid = c.oid), 0) AS deleted, \
        COALESCE((SELECT n_tup_upd FROM pg_stat_xact_all_tables WHERE relid = c.oid), 0) AS updated \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
    WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' \
        AND n.nspname NOT LIKE 'pg\\_%' AND c.relname <> '__diesel_schema_migrations' \
    GROUP BY c.oid";

/// What waits for a lock of a table blocks all who use it after that: not for long before anything is confirmed.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '10s'";

struct Table {
    /// Quoted, and with its schema where the name alone does not lead to it.
    name: String,
    file: Option<Oid>,
    columns: BTreeMap<i32, Column>,
    /// Rows that this transaction has deleted.
    deleted: i64,
    /// Rows that this transaction has changed.
    updated: i64,
}

struct Column {
    name: String,
    quoted: String,
}

/// What is gone, or a query that counts it.
enum Loss {
    Table {
        name: String,
    },
    Column {
        table: String,
        name: String,
        quoted: String,
    },
    /// Rows of a table that stays.
    Rows {
        table: String,
        left: i64,
    },
    Deleted {
        table: String,
        rows: i64,
    },
    Updated {
        table: String,
        rows: i64,
    },
}

/// What reverting `migrations`, in this order, destroys, as the beginning of a sentence. `None`: no row and no value.
///
/// # Errors
/// When they can't be reverted, or the deadline passes.
pub async fn losses(session: &Session, migrations: &[&Migration]) -> anyhow::Result<Option<String>> {
    let Session { client, .. } = session;
    if let Some(alone) = migrations.iter().find(|migration| migration.mode == Mode::Alone) {
        return unknown_losses(session, alone).await.map(Some);
    }
    let lost = session.rolled_back(async {
        client.batch_execute(LOCK_TIMEOUT).await?;
        let before = tables(client).await?;
        for migration in migrations {
            let reverted = revert_in_transaction(client, migration).await;
            reverted.with_context(|| {
                format!("migration {migration} can't be reverted; this was tried, and nothing was changed")
            })?;
        }
        let after = tables(client).await?;
        Ok(compare(client, before, after).await?)
    });
    let lost = lost.await?;
    let counted = session.run(async { Ok(count(client, &lost).await?) }).await?;
    Ok((!counted.is_empty()).then(|| format!("This destroys {}", counted.join(", "))))
}

/// What is not tried, because it could not be rolled back.
async fn unknown_losses(session: &Session, migration: &Migration) -> anyhow::Result<String> {
    let Session { client, .. } = session;
    let all = session.run(async {
        let tables = tables(client).await?.into_values().map(|table| Loss::Table { name: table.name });
        Ok(count(client, &tables.collect::<Vec<_>>()).await?)
    });
    let all = all.await?;
    let all = if all.is_empty() { "no table with rows".to_owned() } else { all.join(", ") };
    Ok(format!(
        "This reverts {migration}, which does not run in a transaction, so that what it destroys is not known \
         beforehand; the database has {all}"
    ))
}

async fn tables(client: &Client) -> Result<BTreeMap<Oid, Table>, SqlError> {
    let rows = client.query_typed(TABLES, &[]).await?;
    let table = |row: &tokio_postgres::Row| {
        let (numbers, names): (Vec<i32>, Vec<String>) = (row.get("numbers"), row.get("columns"));
        let quoted: Vec<String> = row.get("quoted");
        let columns = names.into_iter().zip(quoted).map(|(name, quoted)| Column { name, quoted });
        Table {
            name: row.get("name"),
            file: row.get("file"),
            columns: numbers.into_iter().zip(columns).collect(),
            deleted: row.get("deleted"),
            updated: row.get("updated"),
        }
    };
    Ok(rows.iter().map(|row| (row.get("oid"), table(row))).collect())
}

async fn compare(
    client: &Client,
    before: BTreeMap<Oid, Table>,
    after: BTreeMap<Oid, Table>,
) -> Result<Vec<Loss>, SqlError> {
    let mut lost = Vec::new();
    for (oid, table) in before {
        let Some(left) = after.get(&oid) else {
            lost.push(Loss::Table { name: table.name });
            continue;
        };
        if left.file != table.file {
            let count = format!("SELECT count(*) FROM {}", left.name);
            lost.push(Loss::Rows {
                table: table.name.clone(),
                left: client.query_typed_one(&count, &[]).await?.get(0),
            });
        } else if left.deleted > table.deleted {
            lost.push(Loss::Deleted { table: table.name.clone(), rows: left.deleted - table.deleted });
        }
        if left.updated > table.updated {
            lost.push(Loss::Updated { table: table.name.clone(), rows: left.updated - table.updated });
        }
        let gone = table.columns.into_iter().filter(|(number, _)| !left.columns.contains_key(number));
        lost.extend(gone.map(|(_, Column { name, quoted })| Loss::Column { table: table.name.clone(), name, quoted }));
    }
    Ok(lost)
}

/// The losses in words, without those of no row.
async fn count(client: &Client, lost: &[Loss]) -> Result<Vec<String>, SqlError> {
    let mut counted = Vec::new();
    for loss in lost {
        let number = async |query: String| Ok::<i64, SqlError>(client.query_typed_one(&query, &[]).await?.get(0));
        let (rows, words) = match loss {
            Loss::Table { name } => {
                let rows = number(format!("SELECT count(*) FROM {name}")).await?;
                (rows, format!("table {name} with {}", counted_as(rows, "row")))
            }
            Loss::Column { table, name, quoted } => {
                let values = number(format!("SELECT count({quoted}) FROM {table}")).await?;
                (values, format!("column {table}.{name} with {}", counted_as(values, "value")))
            }
            Loss::Rows { table, left } => {
                let rows = number(format!("SELECT count(*) FROM {table}")).await? - left;
                (rows, format!("{} of table {table}", counted_as(rows, "row")))
            }
            Loss::Deleted { table, rows } => (*rows, format!("{} of table {table}", counted_as(*rows, "row"))),
            Loss::Updated { table, rows } => {
                (*rows, format!("values of {} of table {table}, which it changes", counted_as(*rows, "row")))
            }
        };
        if rows > 0 {
            counted.push(words);
        }
    }
    Ok(counted)
}

/// The number with the noun in its form.
pub fn counted_as(number: i64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
