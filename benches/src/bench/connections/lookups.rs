use std::time::{Duration, Instant};

use anyhow::Context;
use diesel::{ExpressionMethods, QueryDsl};
use shared::{
    database::{DatabaseSettings, StatementClient, StatementMode, connect, schema::users},
    latency::{Latencies, LatencySummary},
};

use crate::bench::timeouts::REQUEST_TIMEOUT;

/// Users that are looked up in turns.
const USERS: i64 = 1_000;

/// The ids of the users to look up.
///
/// # Errors
/// When the database fails, or has no users.
pub async fn user_ids(database: &DatabaseSettings) -> anyhow::Result<Vec<String>> {
    let client = connect(database).await?;
    let rows = client.query("SELECT user_id FROM users ORDER BY user_id LIMIT $1", &[&USERS]).await?;
    let ids: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    (!ids.is_empty()).then_some(ids).context("the table users is empty")
}

/// Looks up one user after the other by its id, over one connection, for `length`, with prepared statements where the
/// path permits them, as the consumer does.
///
/// # Errors
/// When a lookup fails.
pub async fn time_lookups(
    database: &DatabaseSettings,
    ids: &[String],
    length: Duration,
) -> anyhow::Result<LatencySummary> {
    let mut client = StatementClient::connect(database, StatementMode::Prepared, REQUEST_TIMEOUT).await?;
    let (mut latencies, end) = (Latencies::default(), Instant::now() + length);
    for id in ids.iter().cycle() {
        let started = Instant::now();
        if started >= end {
            break;
        }
        client.query_one(&users::table.filter(users::user_id.eq(id)).select(users::region)).await?;
        latencies.record_nanos(started.elapsed().as_nanos() as i64);
    }
    Ok(latencies.summary())
}
