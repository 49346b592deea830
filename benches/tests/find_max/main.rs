//! `loadtest find-max` on the stack of the tests.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::Value;
use testbed::Testbed;

/// A search of short probes, which breaks where the achieved rate reaches a limit: the figures of a busy machine do not
/// change that.
fn find_max(bed: &Testbed, arguments: &[&str]) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut loadtest = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    loadtest.args(["find-max", "--from", "80", "--step", "5s", "--consumers", "1", "--output", "json"]);
    loadtest.args(["--require", "stored p99 < 1m", "--require", "stall < 1m", "--require", "rate < 100"]);
    loadtest.args(arguments).arg("--runs-dir").arg(bed.runs());
    loadtest.arg("--stack-script").arg(root.join("deploy/stack"));
    loadtest.envs(bed.environment()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    loadtest
}

/// The database, the topics, the group, the keys and the processes of a search that has ended.
async fn left(bed: &Testbed, report: &Value) -> Vec<String> {
    let (name, folder) = (report["name"].as_str().unwrap(), report["folder"].as_str().unwrap());
    let databases = bed.sql().await.query("SELECT 1 FROM pg_database WHERE datname = $1", &[&name]).await.unwrap();
    let mut left: Vec<String> = databases.iter().map(|_| format!("database {name}")).collect();
    let client: BaseConsumer = bed.kafka.client(&[]).create().unwrap();
    let timeout = Duration::from_secs(10);
    // A broker may not know yet that a topic is deleted.
    let topics = || {
        let topics = client.fetch_metadata(None, timeout).unwrap();
        topics.topics().iter().map(|it| it.name().to_owned()).filter(|it| it.starts_with(name)).collect::<Vec<_>>()
    };
    testbed::eventually("the topics are deleted", timeout, async || topics().is_empty()).await;
    let groups = client.fetch_group_list(Some(name), timeout).unwrap();
    left.extend(groups.groups().iter().filter(|it| it.state() != "Dead").map(|it| format!("group {}", it.name())));
    let keys: Vec<String> =
        redis::cmd("KEYS").arg(format!("*{name}*")).query_async(&mut bed.redis().await).await.unwrap();
    left.extend(keys);
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let environments = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    let of_search = environments.map(|it| String::from_utf8_lossy(&it).into_owned()).filter(|it| it.contains(folder));
    left.extend(of_search);
    left
}

/// The rates of the probes that held, and of those that broke.
fn rates(report: &Value, is_held: bool) -> Vec<f64> {
    let probes = report["probes"].as_array().unwrap().iter();
    let probes = probes.filter(|probe| (probe["outcome"] == "held") == is_held);
    probes.map(|probe| probe["rate"].as_f64().unwrap()).collect()
}

fn assert_figures_are_there(report: &Value) {
    for probe in report["probes"].as_array().unwrap() {
        let of_probe = |name: &str| probe[name].as_f64().unwrap();
        assert!((0.5..1.05).contains(&(of_probe("acknowledged_rate") / of_probe("rate"))), "{probe:#}");
        assert!((4.0..=4.5).contains(&of_probe("seconds")), "{probe:#}");
        // Those that were stored in the steady part, some of which were due before it.
        let orders = probe["stored_ms"]["count"].as_f64().unwrap();
        assert!((3.0..6.0).contains(&(orders / of_probe("rate"))), "{probe:#}");
        assert!(probe["stored_ms"]["p99"].as_f64() >= probe["ack_ms"]["p50"].as_f64(), "{probe:#}");
        let processes = probe["processes"].as_array().unwrap();
        let cores = |prefix: &str| -> f64 {
            let of_kind = processes.iter().filter(|it| it["name"].as_str().unwrap().starts_with(prefix));
            of_kind.map(|process| process["cpu_cores"].as_f64().unwrap()).sum()
        };
        let kinds =
            [("producer", "producer"), ("brokers", "kafka"), ("consumers", "consumer"), ("postgres", "postgres")];
        for (kind, prefix) in kinds {
            let sum = probe["cpu_cores"][kind].as_f64().unwrap();
            assert!(sum > 0.0 && (sum - cores(prefix)).abs() < 1e-6, "{kind}: {probe:#}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "no rate holds on a busy machine: run by deploy/test --long"]
async fn a_search_ends_within_its_budget_with_an_audited_rate_and_leaves_nothing() {
    let bed = Testbed::new("find_max").await;
    let mut search = find_max(&bed, &["--budget", "42s"]);
    let output = tokio::task::spawn_blocking(move || search.output()).await.unwrap().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{log}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["seconds"].as_f64().unwrap() < 42.0 && report["error"].is_null(), "{report:#}");
    let (held, broken, result) = (rates(&report, true), rates(&report, false), &report["result"]);
    let lowest = broken.iter().copied().reduce(f64::min).unwrap();
    let highest = held.iter().copied().reduce(f64::max).unwrap_or_else(|| panic!("{log}"));
    assert!(held.iter().all(|rate| *rate < 110.0), "{log}");
    assert_eq!((result["highest_held"].as_f64(), result["lowest_broken"].as_f64()), (Some(highest), Some(lowest)));
    let [rate, low, high] = [&result["rate"], &result["interval"]["low"], &result["interval"]["high"]];
    let [rate, low, high] = [rate, low, high].map(|rate| rate.as_f64().unwrap());
    assert!(low <= rate && rate <= high && low < 110.0 && 90.0 < high, "{result:#}");
    assert!(["found", "budget-spent"].map(Value::from).contains(&result["end"]), "{report:#}");
    let probes = report["probes"].as_array().unwrap();
    let too_fast = probes.iter().filter(|probe| probe["acknowledged_rate"].as_f64().unwrap() >= 100.0);
    for probe in too_fast {
        let mut broken = probe["broken"].as_array().unwrap().iter();
        assert!(broken.any(|it| it["measured"].as_str().unwrap().starts_with("rate < 100: 1")), "{probe:#}");
    }
    assert_figures_are_there(&report);
    assert!(report["saturation"]["evidence"].as_array().is_some_and(|evidence| evidence.len() == 2), "{report:#}");
    let audit = &report["audit"];
    let audited = probes.iter().find(|probe| probe["run_id"] == audit["run_id"]).unwrap();
    let least = 4.5 * audited["rate"].as_f64().unwrap();
    assert!(audited["outcome"] == "held" && audit["valid"] == true, "{audit:#}");
    assert!(audit["acknowledged"].as_f64().unwrap() >= least, "{audit:#}");
    assert_eq!((&audit["missing"], &audit["acknowledged"]), (&0.into(), &audit["stored"]), "{audit:#}");
    let folder = Path::new(report["folder"].as_str().unwrap());
    let saved: Value = serde_json::from_slice(&fs::read(folder.join("find-max.json")).unwrap()).unwrap();
    assert_eq!(saved, report);
    let page = fs::read_to_string(folder.join("find-max.html")).unwrap();
    let marks = page.matches("<title>stored p99: ").count();
    assert_eq!(marks, 2 * (held.len() + broken.len()), "a mark for each probe in each drawing");
    assert_eq!(left(&bed, &report).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_a_search_with_the_best_rate_until_then_and_leaves_nothing() {
    let bed = Testbed::new("find_max_stop").await;
    let mut search = find_max(&bed, &["--budget", "10m"]).spawn().unwrap();
    let output = tokio::task::spawn_blocking(move || {
        let mut log = BufReader::new(search.stderr.take().unwrap()).lines();
        let is_held = |line: &String| line.contains("probe-") && line.contains(" orders a second held");
        let held = log.find(|line| is_held(line.as_ref().unwrap()));
        assert!(held.is_some(), "no probe held");
        let pid = rustix::process::Pid::from_child(&search);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        let rest: Vec<String> = log.map(Result::unwrap).collect();
        (search.wait_with_output().unwrap(), rest)
    });
    let (output, log) = output.await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{log:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["result"]["end"], "stopped", "{report:#}");
    let held = rates(&report, true);
    assert!(held.len() == 1 && report["result"]["highest_held"].as_f64() == Some(held[0]), "{report:#}");
    assert_eq!(left(&bed, &report).await, Vec::<String>::new());
}

#[test]
fn what_a_search_can_not_do_is_refused_with_one_message() {
    for (arguments, expected) in [
        (["--require", "altered = 0"], "'altered = 0' is not measured by a probe"),
        (["--require", "ack < 50ms"], "needs a percentile"),
        (["--step", "4s"], "a probe needs 5s or more"),
        (["--budget", "0s"], "a duration must be above 0"),
        (["--budget", "30s"], "--budget 30s has no time for probes of 20s: it must be 1m or more"),
        (["--from", "0"], "a rate is a number of orders per second"),
        (["--from", "2M"], "the first probe has a rate from 1 to 1000000 orders per second"),
        (["--consumers", "0"], "0 is not in 1..=64"),
    ] {
        let mut loadtest = Command::new(env!("CARGO_BIN_EXE_loadtest"));
        let output = loadtest.arg("find-max").args(arguments).env("ORDERFLOW_ENV_FILE", "/dev/null").output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && error.contains(expected), "{arguments:?}: {error}");
        assert_eq!(error.matches("error: ").count(), 1, "{error}");
    }
}
