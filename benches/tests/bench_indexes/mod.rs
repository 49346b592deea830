//! `loadtest bench indexes`: each set of indexes is there while orders are stored, and has a size.

use benches::process::command;
use testbed::Testbed;

#[tokio::test]
#[ignore = "two minutes: run by deploy/test --long"]
async fn the_bench_of_indexes_measures_tables_that_have_them() {
    let bed = Testbed::new("bench_indexes").await;
    let stack = std::env::var("ORDERFLOW_TEST_STACK").unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/stack");
    let mut loadtest = command("loadtest").unwrap();
    loadtest.args(["bench", "indexes", "--orders", "100000", "--rounds", "1", "--output", "json"]);
    loadtest.args(["--stack", &stack, "--stack-script", script]);
    let output = loadtest.envs(bed.environment()).output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{log}"));
    let median = |set: &str, figure: &str| {
        let found = result.pointer(&format!("/indexes/{set}/{figure}/median")).and_then(serde_json::Value::as_f64);
        found.unwrap_or_else(|| panic!("{set} {figure} is not in {result:#}"))
    };
    assert_eq!((median("none", "ratio"), median("none", "bytes_per_order")), (1.0, 0.0));
    let (status, user) = (median("status", "bytes_per_order"), median("user", "bytes_per_order"));
    // An entry has 8 bytes of its own, a time and a text.
    assert!(status > 20.0 && user > 20.0, "{result:#}");
    assert!((median("both", "bytes_per_order") - status - user).abs() < 10.0, "{result:#}");
}
