use anyhow::{anyhow, bail, ensure};
use shared::{
    database::{DatabaseSettings, SqlError, StatementClient},
    shutdown,
};

use super::{
    print::{print_list, print_table_to_stderr},
    session::{connect, row_cache, transaction},
    table::Table,
    update::warn_of_old_values,
};
use crate::{
    migrate::losses::counted_as,
    settings::{DeleteRows, RowFormat},
};

/// SQLSTATE foreign_key_violation.
const FOREIGN_KEY: &str = "23503";

/// Deletes rows after confirmation: all or none.
///
/// # Errors
/// When one of the rows does not exist, orders refer to one, the user does not confirm, or the database fails.
pub async fn delete<Row: Table>(settings: &DeleteRows, database: &DatabaseSettings) -> anyhow::Result<()> {
    let DeleteRows { ids, yes, cache, options } = settings;
    let (cache, deadline) = (row_cache(cache, database)?, options.statement_deadline);
    let mut ids = ids.clone();
    ids.sort_unstable();
    ids.dedup();
    let stop = shutdown::on_signal()?;
    // Not in the transaction: nothing is locked while a person reads.
    let mut client = connect(database, deadline).await?;
    let rows: Vec<Row> = shared::lookup::select_rows(&mut client, ids.iter().map(String::as_str).collect()).await?;
    ensure_all::<Row>(&ids, &rows)?;
    ensure_unreferenced::<Row>(&ids, &mut client).await?;
    let history = history_size::<Row>(&ids, &mut client).await?;
    drop(client);
    print_table_to_stderr(&rows);
    let counted = if rows.len() == 1 { Row::WHAT.to_owned() } else { format!("{}s", Row::WHAT) };
    yes.confirm(database, &format!("This deletes {} {counted}{history}", rows.len()), &stop).await?;
    let deleted = transaction(database, deadline, &stop, async |client| {
        let deleted = match client.query(&Row::delete(&ids)).await {
            Err(error) if error.sqlstate() == Some(FOREIGN_KEY) => return Err(refused_by_reference::<Row>(&error)),
            deleted => deleted?,
        };
        let deleted: Vec<Row> = deleted.iter().map(Row::from).collect();
        ensure_all::<Row>(&ids, &deleted)?;
        let keys: Vec<&str> = ids.iter().map(String::as_str).collect();
        let invalidated = cache.invalidate::<Row>(&keys, deadline).await;
        invalidated.unwrap_or_else(|error| warn_of_old_values(&error));
        Ok(deleted)
    });
    let deleted = deleted.await?;
    match options.output {
        RowFormat::Text => println!("deleted {} {counted}", deleted.len()),
        format => print_list(format, &deleted)?,
    }
    Ok(())
}

/// What else is deleted, for the question.
async fn history_size<Row: Table>(ids: &[String], client: &mut StatementClient) -> anyhow::Result<String> {
    let Some(count) = Row::history_size(ids) else { return Ok(String::new()) };
    let rows: i64 = client.query_one(&count).await?.get(0);
    Ok(if rows == 0 { String::new() } else { format!(" with {} of history", counted_as(rows, "row")) })
}

fn ensure_all<Row: Table>(ids: &[String], rows: &[Row]) -> anyhow::Result<()> {
    let is_missing = |id: &&String| !rows.iter().any(|row| row.id() == id.as_str());
    let missing: Vec<&str> = ids.iter().filter(is_missing).map(String::as_str).collect();
    ensure!(missing.is_empty(), "there is no {} {}: nothing was deleted", Row::WHAT, missing.join(", "));
    Ok(())
}

/// The foreign key refuses it anyway; this says how many orders there are, before the user confirms.
async fn ensure_unreferenced<Row: Table>(ids: &[String], client: &mut StatementClient) -> anyhow::Result<()> {
    let Some(count) = Row::references(ids) else { return Ok(()) };
    let mut referenced = Vec::new();
    for row in client.query(&count).await? {
        let (id, orders): (String, i64) = (row.get(0), row.get(1));
        let refer = if orders == 1 { "order refers" } else { "orders refer" };
        referenced.push(format!("{orders} {refer} to {} {id}", Row::WHAT));
    }
    if !referenced.is_empty() {
        bail!("{}: delete these orders first (nothing was deleted)", referenced.join(", "));
    }
    Ok(())
}

fn refused_by_reference<Row: Table>(error: &SqlError) -> anyhow::Error {
    anyhow!("an order of one of these {}s was added meanwhile: nothing was deleted ({error})", Row::WHAT)
}
