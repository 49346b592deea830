use anyhow::Context;
use chrono::{DateTime, Utc};
use shared::database::DatabaseSettings;

use super::{
    print::print_page,
    session::connect,
    show::no_such_row,
    table::{After, Table},
};
use crate::settings::ListRows;

/// Prints a page of rows.
///
/// # Errors
/// When there is no row of `--after`, or the database fails.
pub async fn list<Row: Table>(settings: &ListRows<Row::Filter>, database: &DatabaseSettings) -> anyhow::Result<()> {
    let ListRows { filter, limit, after, options } = settings;
    let mut client = connect(database, options.statement_deadline).await?;
    let after = match after {
        None => None,
        Some(id) => {
            let found = client.query(&Row::created_at(id)).await?;
            let row = found.first().ok_or_else(|| no_such_row::<Row>(id)).context("--after")?;
            Some(After { id: id.clone(), created_at: row.get(0) })
        }
    };
    let found = client.query(&Row::page(filter, after, i64::from(*limit))).await?;
    let rows: Vec<(Row, DateTime<Utc>)> = found.iter().map(|row| (Row::from(row), row.get("created_at"))).collect();
    print_page(options.output, &rows)
}
