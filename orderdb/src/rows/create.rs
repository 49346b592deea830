use shared::{database::DatabaseSettings, shutdown};

use super::{print::print_row, session::transaction, table::Table};
use crate::settings::CreateRow;

/// Inserts a row and prints it.
///
/// # Errors
/// When there is such a row already, or the database fails.
pub async fn create<Row: Table>(settings: &CreateRow<Row::Create>, database: &DatabaseSettings) -> anyhow::Result<()> {
    let insert = async |client: &mut _| Row::insert(&settings.row, client).await;
    let row = transaction(database, settings.options.statement_deadline, &shutdown::on_signal()?, insert).await?;
    print_row(settings.options.output, &row)
}
