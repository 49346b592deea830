//! The time of a round trip to the server.

use std::time::{Duration, Instant};

use tokio_postgres::Client;

/// Round trips whose median is the latency.
const ROUND_TRIPS: usize = 5;

/// The median of some round trips.
///
/// # Errors
/// When the server does not answer.
pub async fn latency(client: &Client) -> anyhow::Result<Duration> {
    let mut round_trips = Vec::with_capacity(ROUND_TRIPS);
    for _ in 0..ROUND_TRIPS {
        let began = Instant::now();
        client.simple_query("SELECT 1").await?;
        round_trips.push(began.elapsed());
    }
    round_trips.sort_unstable();
    Ok(round_trips[ROUND_TRIPS / 2])
}
