use std::time::Instant;

use shared::{
    database::{DatabaseSettings, connect},
    latency::Latencies,
};

/// Opens `count` connections, one after the other. Returns the median from the start until the server is ready, in
/// milliseconds.
///
/// # Errors
/// When one can't be opened.
pub async fn time_opening(database: &DatabaseSettings, count: u32) -> anyhow::Result<f64> {
    let mut latencies = Latencies::default();
    for _ in 0..count {
        let started = Instant::now();
        let client = connect(database).await?;
        latencies.record_nanos(started.elapsed().as_nanos() as i64);
        drop(client);
    }
    Ok(latencies.summary().p50)
}
