//! The whole pipeline with a database as at Supabase.

use benches::process::command;
use testbed::Testbed;

use super::scenario::{arguments, stored};

/// Six consumers, the cache-worker and the audit share two connections.
#[tokio::test]
async fn the_pipeline_works_by_tls_through_a_pooler_in_transaction_mode() {
    let bed = Testbed::new("pooled").await;
    let mut loadtest = command("loadtest").unwrap();
    loadtest.args(&arguments(&bed, 500, "4s", 6)[1..]).args(["--output", "json"]);
    let output = loadtest.envs(bed.supabase()).output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{log}"));
    let count = |figure: &str| summary[figure].as_i64().unwrap_or_else(|| panic!("{figure}: {summary}"));
    // A machine that runs tests in parallel may be too late for some orders.
    let acknowledged = count("acknowledged");
    assert!(acknowledged > 1_000, "{log}");
    assert_eq!(["stored", "missing", "altered", "unexpected"].map(count), [acknowledged, 0, 0, 0], "{log}");
    assert_eq!(stored(&bed).await, acknowledged);
    let of_database = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()";
    let backends: i64 = bed.sql().await.query_one(of_database, &[&bed.database.database()]).await.unwrap().get(0);
    assert!((1..=2).contains(&backends), "{backends} connections: the programs did not use the pooler alone");
}
