//! `loadtest bench connections`: each path is another one, and stores what the others store.

use benches::process::command;
use testbed::Testbed;

#[tokio::test]
#[ignore = "two minutes: run by deploy/test --long"]
async fn the_bench_of_connections_measures_tls_and_the_pooler_beside_a_plain_connection() {
    let bed = Testbed::new("bench_connections").await;
    let stack = std::env::var("ORDERFLOW_TEST_STACK").unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/stack");
    let mut loadtest = command("loadtest").unwrap();
    loadtest.args(["bench", "connections", "--orders", "100000", "--rounds", "1", "--connections", "20"]);
    loadtest.args(["--lookup-duration", "500ms", "--stack", &stack, "--stack-script", script, "--output", "json"]);
    let output = loadtest.envs(bed.environment()).output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{log}"));
    let median = |path: &str, figure: &str| {
        let found = result.pointer(&format!("/paths/{path}/{figure}/median")).and_then(serde_json::Value::as_f64);
        found.unwrap_or_else(|| panic!("{path} {figure} is not in {result:#}"))
    };
    assert_eq!(median("plain", "open_ratio"), 1.0);
    // A handshake with a certificate takes longer than none.
    assert!(median("tls", "open_ratio") > 1.0 && median("tls_pooler", "open_ratio") > 1.0, "{result:#}");
    for path in ["plain", "tls", "pooler", "tls_pooler"] {
        assert!(median(path, "rows_per_second") > 0.0 && median(path, "lookup_p50_ms") > 0.0, "{result:#}");
    }
}
