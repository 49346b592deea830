//! The whole pipeline with a database as at Supabase.

use std::{process::Stdio, time::Duration};

use benches::process::command;
use testbed::Testbed;

use super::scenario::{arguments, stored};

/// Six consumers, the cache-worker and the audit share two connections.
#[tokio::test]
async fn the_pipeline_works_by_tls_through_a_pooler_in_transaction_mode() {
    let bed = Testbed::new("pooled").await;
    let mut loadtest = command("loadtest").unwrap();
    loadtest.args(&arguments(&bed, 500, "4s", 6)[1..]).args(["--output", "json"]);
    loadtest.envs(bed.supabase()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let loadtest = loadtest.spawn().unwrap();
    let running = tokio::task::spawn_blocking(move || loadtest.wait_with_output());
    let sql = bed.sql().await;
    let backends = "SELECT count(*) FROM pg_stat_activity \
                    WHERE datname = $1 AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
    let mut most = 0;
    while !running.is_finished() {
        let now: i64 = sql.query_one(backends, &[&bed.database.database()]).await.unwrap().get(0);
        most = most.max(now);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let output = running.await.unwrap().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{log}"));
    let count = |figure: &str| summary[figure].as_i64().unwrap_or_else(|| panic!("{figure}: {summary}"));
    // A machine that runs tests in parallel may be too late for some orders.
    let acknowledged = count("acknowledged");
    assert!(acknowledged > 1_000, "{log}");
    assert_eq!(["stored", "missing", "altered", "unexpected"].map(count), [acknowledged, 0, 0, 0], "{log}");
    assert_eq!(stored(&bed).await, acknowledged);
    assert_eq!(most, 2, "the programs did not use the pooler alone");
}
