use anyhow::Context;
use shared::{database::DatabaseSettings, lookup::ENTRY_TTL, shutdown};

use super::{
    print::print_row,
    session::{row_cache, transaction},
    show::no_such_row,
    table::Table,
};
use crate::settings::UpdateRow;

/// Changes a row and prints it.
///
/// # Errors
/// When there is no such row, the table does not accept a value, or the database fails.
pub async fn update<Row: Table>(settings: &UpdateRow<Row::Change>, database: &DatabaseSettings) -> anyhow::Result<()> {
    let UpdateRow { id, change, cache, options } = settings;
    let cache = row_cache(cache, database)?;
    let deadline = options.statement_deadline;
    let stop = shutdown::on_signal()?;
    let updated = transaction(database, deadline, &stop, async |client| {
        let found = client.query(&Row::select_locked(id)).await?;
        let mut row = found.first().map(Row::from).ok_or_else(|| no_such_row::<Row>(id))?;
        row.apply(change, client).await?;
        let updated = client.query(&row.update()).await?;
        let updated = updated.first().map(Row::from).context("the updated row was not returned, which is a bug")?;
        let invalidated = cache.invalidate::<Row>(&[id], deadline).await;
        invalidated.unwrap_or_else(|error| warn_of_old_values(&error));
        anyhow::Ok(updated)
    });
    print_row(options.output, &updated.await?)
}

/// A change is not refused because Redis fails.
pub fn warn_of_old_values(error: &redis::RedisError) {
    tracing::warn!(
        "Redis can't be told of the change, so that it may have the old values for {} s, and in the cache of the \
         cache-worker until its next round: {error}",
        ENTRY_TTL.as_secs()
    );
}
