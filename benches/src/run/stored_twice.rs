//! Orders of a run that the table has more than once. The primary key excludes it; the report does not rely on that.

use anyhow::Context;
use chrono::Utc;
use shared::{
    database::{DatabaseSettings, connect},
    ledger::Ledger,
    order_id::{OrderId, RunTag},
};
use tokio_postgres::types::Type;

/// # Errors
/// When the table can't be read.
pub async fn stored_twice(database: &DatabaseSettings, ledgers: &[Ledger]) -> anyhow::Result<u64> {
    let tags: Vec<RunTag> = ledgers.iter().map(|ledger| ledger.run.tag).collect();
    let from = ledgers.iter().map(|ledger| ledger.run.started_at).min().unwrap_or_default();
    let (from, until) = OrderId::text_range(from, Utc::now().max(from)).into_inner();
    let query = "SELECT order_id FROM orders WHERE order_id BETWEEN $1 AND $2 GROUP BY order_id HAVING count(*) > 1";
    let client = connect(database).await?;
    let rows = client
        .query_typed(query, &[(&from, Type::TEXT), (&until, Type::TEXT)])
        .await
        .context("the table orders can't be read")?;
    let of_run =
        rows.iter().filter(|row| row.get::<_, &str>(0).parse::<OrderId>().is_ok_and(|id| tags.contains(&id.tag())));
    Ok(of_run.count() as u64)
}
