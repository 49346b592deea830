use std::sync::Arc;

use anyhow::anyhow;
use shared::{
    database::DatabaseSettings,
    lookup::{QueryConnections, RowReader},
};

use super::{
    print::{print_field, print_row},
    session::row_cache,
    table::Table,
};
use crate::settings::ShowRow;

/// Prints a row or one of its fields, from Redis or else from the database.
///
/// # Errors
/// When there is no such row, or Redis does not have it and the database fails.
pub async fn show<Row: Table>(settings: &ShowRow<Row::Field>, database: &DatabaseSettings) -> anyhow::Result<()> {
    let ShowRow { id, field, cache, options } = settings;
    let connections = QueryConnections::new(database, 1, options.statement_deadline);
    let reader = RowReader::<Row>::new(Arc::new(row_cache(cache, database)?), Arc::new(connections));
    let key = Row::Id::from(id);
    let missing = || no_such_row::<Row>(id);
    match field {
        None => {
            let row = reader.row(&key).await.map_err(anyhow::Error::new)?.ok_or_else(missing)?;
            print_row(options.output, row.as_ref())
        }
        Some(field) => {
            let value = reader.field(&key, *field).await.map_err(anyhow::Error::new)?.ok_or_else(missing)?;
            print_field(options.output, *field, &value)
        }
    }
}

pub fn no_such_row<Row: Table>(id: &str) -> anyhow::Error {
    anyhow!("there is no {} {id}", Row::WHAT)
}
