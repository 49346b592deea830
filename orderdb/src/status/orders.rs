//! How many orders arrived lately. The table has no index of times: the ids begin with the due time, so the orders of a
//! time are a range of the primary key. Orders of other producers have other ids and are not among them.

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use shared::order_id::OrderId;
use tokio_postgres::types::{ToSql, Type};

use super::session::Session;

const WINDOWS_MINUTES: [i64; 3] = [1, 5, 60];
/// Orders of a window that are counted at most. It takes some tenths of a second.
const MAX_COUNTED: i64 = 1_000_000;

#[derive(Debug, Serialize)]
pub struct OrderStatus {
    pub windows: Vec<Window>,
    /// Due time of the newest order.
    pub newest_at: Option<DateTime<Utc>>,
    pub newest_age_seconds: Option<i64>,
}

/// The orders that were due in the last minutes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Window {
    pub minutes: i64,
    /// At most [`MAX_COUNTED`].
    pub orders: i64,
    pub orders_a_minute: f64,
    /// Whether there are more than were counted.
    pub is_lower_bound: bool,
}

/// # Errors
/// When the server refuses a query or does not answer in time.
pub async fn orders(session: &Session, now: DateTime<Utc>) -> anyhow::Result<OrderStatus> {
    let mut windows: Vec<Window> = Vec::with_capacity(WINDOWS_MINUTES.len());
    for minutes in WINDOWS_MINUTES {
        windows.push(window(session, now, minutes).await?);
    }
    let newest_at = newest(session, now).await?;
    let newest_age_seconds = newest_at.map(|at| (now - at).num_seconds());
    Ok(OrderStatus { windows, newest_at, newest_age_seconds })
}

async fn window(session: &Session, now: DateTime<Utc>, minutes: i64) -> anyhow::Result<Window> {
    let range = OrderId::text_range(now - TimeDelta::minutes(minutes), now);
    let query = "SELECT count(*) FROM (SELECT FROM orders WHERE order_id BETWEEN $1 AND $2 LIMIT $3) counted";
    let parameters: [(&(dyn ToSql + Sync), Type); 3] =
        [(range.start(), Type::VARCHAR), (range.end(), Type::VARCHAR), (&MAX_COUNTED, Type::INT8)];
    let orders: i64 = session.row(query, &parameters).await.context("the orders can't be counted")?.get(0);
    let orders_a_minute = orders as f64 / minutes as f64;
    Ok(Window { minutes, orders, orders_a_minute, is_lower_bound: orders == MAX_COUNTED })
}

/// That of the last id up to now. Ids of later times are those of a clock that is ahead, and of other producers, which
/// may also have some before it.
async fn newest(session: &Session, now: DateTime<Utc>) -> anyhow::Result<Option<DateTime<Utc>>> {
    let range = OrderId::text_range(now, now);
    let query = "SELECT order_id FROM orders WHERE order_id <= $1 ORDER BY order_id DESC LIMIT 100";
    let rows = session.rows(query, &[(range.end(), Type::VARCHAR)]).await?;
    let id = rows.iter().find_map(|row| row.get::<_, &str>(0).parse::<OrderId>().ok());
    Ok(id.and_then(|id| i64::try_from(id.due_nanos()).ok()).map(DateTime::from_timestamp_nanos))
}
