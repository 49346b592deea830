//! Helpers of the tests that run `loadtest run` and read what it leaves.

use std::{
    ffi::OsStr,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use benches::process::command;
use chrono::{DateTime, Utc};
use serde_json::Value;
use testbed::Testbed;

/// The command line of a run on the resources of a test. Tests run at the same time on few cores, so a scenario of
/// theirs has no requirement on time.
pub fn loadtest_run(bed: &Testbed, scenario: impl AsRef<OsStr>) -> Command {
    let mut loadtest = command("loadtest").unwrap();
    loadtest.arg("run").arg(scenario);
    loadtest.args(["--topic", &bed.topic.topic, "--group", &bed.name, "--view", "never"]);
    loadtest.args(["--redis-prefix", &bed.cache.redis_prefix, "--postgres-db", bed.database.database()]);
    loadtest.arg("--stack-script").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/stack"));
    loadtest.arg("--runs-dir").arg(bed.runs()).args(["--output", "json"]);
    loadtest.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    loadtest
}

pub async fn end(child: Child) -> Output {
    tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap()
}

/// The folder of the only run, its `report.json` and its log.
pub fn report(bed: &Testbed, output: &Output) -> (PathBuf, Value, String) {
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let mut runs = std::fs::read_dir(bed.runs()).unwrap_or_else(|_| panic!("{log}"));
    let folder = runs.next().unwrap().unwrap().path();
    let report = std::fs::read(folder.join("report.json")).unwrap_or_else(|_| panic!("{log}"));
    (folder, serde_json::from_slice(&report).unwrap(), log)
}

/// The processes whose command line or environment names `folder`.
pub fn processes_of(folder: &Path) -> Vec<String> {
    let named = folder.to_str().unwrap();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let command_lines = entries.filter_map(|entry| std::fs::read_to_string(entry.path().join("cmdline")).ok());
    command_lines.filter(|line| line.contains(named)).collect()
}

/// A fault of a report: its name, its beginning and its end.
pub fn faults(report: &Value) -> Vec<(String, DateTime<Utc>, DateTime<Utc>)> {
    let time = |value: &Value| value.as_str().unwrap().parse().unwrap();
    let faults = report["faults"].as_array().unwrap();
    faults
        .iter()
        .map(|fault| {
            assert!(fault["error"].is_null(), "{fault}");
            (fault["fault"].as_str().unwrap().to_owned(), time(&fault["began_at"]), time(&fault["ended_at"]))
        })
        .collect()
}

/// Every order was acknowledged, and is stored once.
pub fn assert_balanced(report: &Value, orders: u64) {
    let counts = &report["counts"];
    let count = |name: &str| counts[name].as_u64().unwrap_or_else(|| panic!("no {name}: {counts}"));
    assert_eq!(count("scheduled"), count("acknowledged") + count("skipped") + count("failed") + count("unknown"));
    assert_eq!(count("scheduled"), orders, "{counts}");
    assert_eq!((count("missing"), count("altered"), count("stored_twice")), (0, 0, 0), "{counts}");
    assert!(count("stored") >= count("acknowledged"), "{counts}");
    assert_eq!(report["audit"]["stored"], counts["stored"]);
    assert_eq!(report["audit"]["acknowledged"], counts["acknowledged"]);
}

/// Every program and server is measured, and the charts add up to the counts.
pub fn assert_is_measured(report: &Value, programs: &[&str]) {
    let versions = report["versions"].as_object().unwrap();
    let known: Vec<&str> = versions.keys().map(String::as_str).collect();
    let expected =
        ["cache-worker", "consumer", "kafka", "librdkafka", "loadtest", "orderdb", "postgresql", "producer", "redis"];
    assert_eq!(known, expected);
    assert!(versions.values().all(|it| it.as_str().unwrap().starts_with(|first: char| first.is_ascii_digit())));

    let processes = report["processes"].as_array().unwrap();
    let names: Vec<&str> = processes.iter().map(|process| process["name"].as_str().unwrap()).collect();
    assert_eq!(names, [&["kafka-1", "kafka-2", "kafka-3", "redis", "postgres"], programs, &["loadtest"]].concat());
    for process in processes {
        // In a short run, these use less than the system counts.
        let is_idle = ["cache-worker", "redis"].contains(&process["name"].as_str().unwrap());
        assert!(process["cpu_cores"].as_f64().unwrap() > 0.0 || is_idle, "{process}");
        assert!(process["max_memory_bytes"].as_u64().unwrap() > 1_000_000, "{process}");
        assert!(process["max_open_files"].as_u64().unwrap() > 3, "{process}");
    }

    let seconds: Vec<f64> =
        report["timeline"]["seconds"].as_array().unwrap().iter().map(|second| second.as_f64().unwrap()).collect();
    let rate = |name: &str| {
        let mut series = report["timeline"]["series"].as_array().unwrap().iter();
        let series = series.find(|it| it["chart"] == "rate" && it["name"] == name).unwrap();
        series["values"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap_or_default())
    };
    for name in ["acknowledged", "stored"] {
        // The rate of a sample is that of the time since the one before.
        let lasted = seconds.windows(2).map(|pair| pair[1] - pair[0]);
        let total: f64 = rate(name).skip(1).zip(lasted).map(|(rate, seconds)| rate * seconds).sum();
        let count = report["counts"][name].as_f64().unwrap();
        // A program that is killed takes with it what it has counted since its last sample, a second before at most.
        let kills = faults(report).iter().filter(|(fault, ..)| fault.starts_with("kill")).count() as f64;
        let tolerance = count * 0.02 + kills * rate(name).fold(0.0, f64::max);
        assert!((total - count).abs() <= tolerance, "{name}: {total} of {count}");
    }
}
