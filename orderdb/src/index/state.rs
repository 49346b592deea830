use anyhow::ensure;
use clap::ValueEnum;
use serde::Serialize;
use tokio_postgres::types::Type;

use crate::{session::Session, settings::OptionalIndex};

const INDEXES: &str = "\
    SELECT c.relname::text AS name, pg_get_indexdef(c.oid) AS definition, i.indisvalid AS valid, \
        pg_relation_size(c.oid) AS bytes, COALESCE(s.idx_scan, 0) AS scans, \
        (SELECT pid FROM pg_stat_progress_create_index p WHERE p.index_relid = c.oid) AS built_by \
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
    LEFT JOIN pg_stat_user_indexes s ON s.indexrelid = c.oid \
    WHERE i.indrelid = to_regclass('orders') AND c.relname = ANY($1)";

/// How far an index is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Progress {
    Valid,
    /// A session builds it.
    Building,
    /// What an interrupted build has left. It is kept up to date, and used by no query.
    Invalid,
}

/// An optional index that exists.
pub struct IndexState {
    pub index: OptionalIndex,
    pub progress: Progress,
    /// The server process that builds it.
    pub built_by: Option<i32>,
    pub bytes: i64,
    pub scans: i64,
}

/// The optional indexes that exist.
///
/// # Errors
/// When there is no table `orders`, or an index of that name has other columns.
pub async fn states(session: &Session) -> anyhow::Result<Vec<IndexState>> {
    let Session { client, database, .. } = session;
    let names: Vec<&str> = OptionalIndex::value_variants().iter().map(|index| index.name()).collect();
    let rows = session.run(async {
        let exists = client.query_typed_one("SELECT to_regclass('orders') IS NOT NULL", &[]).await?;
        ensure!(exists.get::<_, bool>(0), "database {database} has no table orders: run `orderdb migrate up` first");
        Ok(client.query_typed(INDEXES, &[(&names, Type::TEXT_ARRAY)]).await?)
    });
    let mut states = Vec::new();
    for row in rows.await? {
        let (name, definition): (&str, &str) = (row.get("name"), row.get("definition"));
        let index = OptionalIndex::value_variants().iter().copied().find(|index| index.name() == name);
        let Some(index) = index else { continue };
        ensure!(
            definition.ends_with(&format!("USING btree {}", index.columns())),
            "there is another index of this name, which is left as it is: {definition}"
        );
        let built_by: Option<i32> = row.get("built_by");
        let progress = match (row.get("valid"), built_by) {
            (true, _) => Progress::Valid,
            (false, Some(_)) => Progress::Building,
            (false, None) => Progress::Invalid,
        };
        states.push(IndexState { index, progress, built_by, bytes: row.get("bytes"), scans: row.get("scans") });
    }
    Ok(states)
}
