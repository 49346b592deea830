//! `orderdb random`: rows drawn from the cache in Redis, else from the table.

use anyhow::ensure;
use diesel::{sql_query, sql_types::Double};
use rand::RngExt;
use serde::de::DeserializeOwned;
use shared::{
    cache,
    catalog::{Product, User},
    database::{DatabaseSettings, StatementClient},
    lookup::LookupRow,
    program::Outcome,
};

use super::{print::print_list, session::connect, table::Table};
use crate::settings::{RandomKind, RandomSettings};

/// Pages of a table of which the rows are drawn, at least: neighbours of one page were often inserted together.
const MIN_PAGES: f64 = 64.0;
/// Rows that a page has, at least. Users and products have some 80.
const ROWS_PER_PAGE: f64 = 16.0;

/// Prints random rows.
///
/// # Errors
/// When Redis does not have rows, and the table has none or the database fails.
pub async fn random(settings: &RandomSettings, database: &DatabaseSettings) -> anyhow::Result<Outcome> {
    match settings.kind {
        RandomKind::User => print_random::<User>(settings, database).await?,
        RandomKind::Product => print_random::<Product>(settings, database).await?,
    }
    Ok(Outcome::Valid)
}

async fn print_random<Row: Table + DeserializeOwned>(
    settings: &RandomSettings,
    database: &DatabaseSettings,
) -> anyhow::Result<()> {
    let rows = match from_cache::<Row>(settings, database).await? {
        Some(rows) => rows,
        None => from_table(settings, database).await?,
    };
    print_list(settings.options.output, &rows)
}

/// None when the cache is empty or Redis fails.
async fn from_cache<Row: LookupRow + DeserializeOwned>(
    settings: &RandomSettings,
    database: &DatabaseSettings,
) -> anyhow::Result<Option<Vec<Row>>> {
    let cache_settings = settings.cache.of_database(database.name());
    let (keys, (table, _)) = (cache_settings.keys(), Row::TABLE);
    let Some(hash) = Row::hash(&keys) else { return Ok(None) };
    let mut redis = cache_settings.connect_lazily()?;
    match cache::sample(&mut redis, hash, settings.count as usize).await {
        Ok(rows) if rows.len() == settings.count as usize => return Ok(Some(rows)),
        Ok(rows) if rows.is_empty() => {
            tracing::info!("Redis: {hash} is empty, the rows are drawn from table {table}; cache-worker fills it");
        }
        Ok(_) => tracing::warn!("Redis: {hash} has values that are no rows, the rows are drawn from table {table}"),
        Err(error) => tracing::warn!("Redis: no answer, the rows are drawn from table {table}: {error}"),
    }
    Ok(None)
}

/// Draws from the rows of some pages of the table, which are read without reading the others.
async fn from_table<Row: LookupRow>(
    settings: &RandomSettings,
    database: &DatabaseSettings,
) -> anyhow::Result<Vec<Row>> {
    let mut client = connect(database, settings.options.statement_deadline).await?;
    let (count, (table, _)) = (settings.count as usize, Row::TABLE);
    let rows: Vec<Row> = some_rows(&mut client, f64::from(settings.count)).await?;
    ensure!(!rows.is_empty(), "table {table} has no rows: run `orderdb seed`");
    let mut random = rand::rng();
    Ok((0..count).map(|_| rows[random.random_range(0..rows.len())].clone()).collect())
}

async fn some_rows<Row: LookupRow>(client: &mut StatementClient, count: f64) -> anyhow::Result<Vec<Row>> {
    let (table, _) = Row::TABLE;
    let size =
        format!("SELECT greatest(1, pg_relation_size('{table}') / current_setting('block_size')::bigint)::float8");
    let pages: f64 = client.query_one(&sql_query(size)).await?.get(0);
    let mut percent = (100.0 * (MIN_PAGES + count / ROWS_PER_PAGE) / pages).min(100.0);
    loop {
        let sample = format!("SELECT * FROM {table} TABLESAMPLE SYSTEM ($1)");
        let rows = client.query(&sql_query(sample).bind::<Double, _>(percent)).await?;
        // Of a table whose rows were deleted, many pages are empty.
        if !rows.is_empty() || percent >= 100.0 {
            return Ok(rows.iter().map(Row::from).collect());
        }
        percent = (percent * 4.0).min(100.0);
    }
}
