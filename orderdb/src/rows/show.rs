use std::{sync::Arc, time::Instant};

use anyhow::anyhow;
use shared::{
    database::{DatabaseSettings, StatementClient},
    lookup::{QueryConnections, ReadError, RowCache, RowReader, select_rows},
};

use super::{
    print::{HistoryLine, print_field, print_row, print_with_history},
    session::row_cache,
    table::Table,
};
use crate::settings::ShowRow;

/// Prints a row or one of its fields, from Redis or else from the database. A row with a history is from the database,
/// which alone has the history: a row of Redis may be older.
///
/// # Errors
/// When there is no such row, or Redis does not have it and the database fails.
pub async fn show<Row: Table>(settings: &ShowRow<Row::Field>, database: &DatabaseSettings) -> anyhow::Result<()> {
    let ShowRow { id, field, cache, options } = settings;
    let cache = Arc::new(row_cache(cache, database)?);
    let connections = Arc::new(QueryConnections::new(database, 1, options.statement_deadline));
    let reader = RowReader::<Row>::new(Arc::clone(&cache), Arc::clone(&connections));
    let key = Row::Id::from(id);
    let missing = || no_such_row::<Row>(id);
    if let Some(field) = field {
        let value = reader.field(&key, *field).await.map_err(anyhow::Error::new)?.ok_or_else(missing)?;
        return print_field(options.output, *field, &value);
    }
    match row_with_history::<Row>(id, &connections, &cache).await {
        Some(Ok(found)) => {
            let (row, history) = found.ok_or_else(missing)?;
            return print_with_history(options.output, &row, &history);
        }
        Some(Err(error)) => tracing::warn!("the history can't be read: {:#}", anyhow::Error::new(error)),
        None => {}
    }
    let row = reader.row(&key).await.map_err(anyhow::Error::new)?.ok_or_else(missing)?;
    print_row(options.output, row.as_ref())
}

/// Both statements see the tables as they are at the first one: a change between them would end the history otherwise
/// than the row.
const ONE_SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";

/// A row and its history, if there is such a row. `None` for a table whose rows have no history. Fills the cache.
async fn row_with_history<Row: Table>(
    id: &str,
    connections: &QueryConnections,
    cache: &RowCache,
) -> Option<Result<Option<(Row, Vec<HistoryLine>)>, ReadError>> {
    let history = Row::history(id)?;
    let queried_at = Instant::now();
    let read = connections.query(async |client| {
        let both = async |client: &mut StatementClient| {
            let Some(row) = select_rows::<Row>(client, vec![id]).await?.pop() else { return Ok(None) };
            let lines = client.query(&history).await?.iter().map(HistoryLine::from).collect();
            Ok(Some((row, lines)))
        };
        client.transaction_from(ONE_SNAPSHOT, both).await
    });
    let read = read.await;
    if let Ok(Some((row, _))) = &read {
        cache.fill(std::slice::from_ref(row), queried_at).await;
    }
    Some(read)
}

pub fn no_such_row<Row: Table>(id: &str) -> anyhow::Error {
    anyhow!("there is no {} {id}", Row::WHAT)
}
