//! `loadtest bench latency`: each contestant stores or sends all orders of a short round, and nothing is left.

use benches::process::command;
use testbed::Testbed;

use super::injector::test_stack;

#[tokio::test]
#[ignore = "minutes, with downloads: run by deploy/test --long"]
async fn the_bench_of_latency_has_figures_of_each_contestant_and_leaves_no_database() {
    let bed = Testbed::new("bench_latency").await;
    let stack = test_stack();
    let mut loadtest = command("loadtest").unwrap();
    loadtest.args(["bench", "latency", "--rate", "200", "--duration", "3s", "--warm-up", "8s", "--output", "json"]);
    loadtest.args(["--stack", &stack.name, "--peers", concat!(env!("CARGO_MANIFEST_DIR"), "/peers"), "--stack-script"]);
    let output = loadtest.arg(&stack.script).envs(bed.environment()).output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{log}"));
    for contestant in ["consumer", "debezium", "debezium_tuned", "python", "producer", "perf_test"] {
        let figures = &result["contestants"][contestant];
        let figure = |path: &str| figures.pointer(path).and_then(serde_json::Value::as_f64);
        let [p50, p99, max] = ["p50", "p99", "max"].map(|name| figure(&format!("/latency/{name}/median")).unwrap());
        assert!(0.5 < p50 && p50 <= p99 && p99 <= max, "{contestant}: {figures}");
        assert!(figure("/client_cpu/median").is_some_and(|cores| cores > 0.001), "{contestant}: {figures}");
        assert!(figure("/broker_cpu/median").is_some_and(|cores| cores > 0.001), "{contestant}: {figures}");
        let is_sink = !["producer", "perf_test"].contains(&contestant);
        assert_eq!(figure("/postgres_cpu/median").is_some_and(|cores| cores > 0.0), is_sink, "{contestant}: {figures}");
    }
    assert_eq!(result["stages"].as_array().map(Vec::len), Some(5), "{result}");
    let databases = "SELECT count(*) FROM pg_database WHERE datname ~ '^bench_[0-9a-f]{6}$'";
    assert_eq!(bed.sql().await.query_one(databases, &[]).await.unwrap().get::<_, i64>(0), 0);
}
