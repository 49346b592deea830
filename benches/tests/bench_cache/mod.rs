//! `loadtest bench cache`: its counts agree with each other.

use benches::process::command;
use testbed::Testbed;

#[tokio::test]
#[ignore = "half a minute: run by deploy/test --long"]
async fn the_bench_of_the_cache_counts_the_statements_that_the_database_receives() {
    let bed = Testbed::new("bench_cache").await;
    let mut loadtest = command("loadtest").unwrap();
    loadtest.args([
        "bench",
        "cache",
        "--users",
        "1000",
        "--lookup-duration",
        "300ms",
        "--interval",
        "3s",
        "--rate",
        "200",
    ]);
    let child = loadtest.args(["--output", "json"]).envs(bed.environment());
    let output = child.output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{log}"));
    let figure =
        |path: &str| result.pointer(path).and_then(serde_json::Value::as_f64).unwrap_or_else(|| panic!("{result}"));
    // Two intervals of 3 s are a tenth of a minute; a round has about a dozen statements.
    let (rounds, cached) = (figure("/statements_a_minute/rounds_a_minute"), figure("/statements_a_minute/cached"));
    assert!((rounds - 20.0).abs() <= 10.0 && cached >= rounds * 8.0 && cached <= rounds * 40.0, "{result}");
    let (counted, lookups) = (figure("/tables/0/lookups/statements"), figure("/tables/0/lookups/straight"));
    assert!(lookups > 9.0 && counted == lookups, "{result}");
    assert!(figure("/tables/0/ratios/order_by_random") > 0.0, "{result}");
    assert!(figure("/statements_a_minute/straight") > cached * 10.0, "{result}");
}
