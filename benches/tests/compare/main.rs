//! `loadtest compare` and `loadtest gate` on the reports of runs. No services are needed.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "../report/sample.rs"]
mod sample;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use benches::report::model::RunReport;
use chrono::TimeDelta;
use serde_json::Value;

/// Folders of runs.
struct Runs {
    folder: tempfile::TempDir,
}

impl Runs {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, folder: &str, report: &RunReport) {
        let folder = self.path(folder);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("report.json"), serde_json::to_vec(report).unwrap()).unwrap();
    }

    /// `count` runs in `side`, made in turns with those of other sides. Their latencies are `factor` times those of the
    /// sample, with a noise of some per cent.
    fn side(&self, side: &str, count: u32, factor: f64) {
        for number in 0..count {
            self.write(&format!("{side}/{number}"), &run(side, number, factor));
        }
    }

    fn loadtest(&self, arguments: &[&str]) -> Output {
        let mut loadtest = Command::new(env!("CARGO_BIN_EXE_loadtest"));
        loadtest.args(arguments).current_dir(self.folder.path()).env("ORDERFLOW_ENV_FILE", "/dev/null");
        loadtest.output().unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.loadtest(&[arguments, &["--output", "json"]].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
    }

    /// The error of a call that fails with `code`.
    fn error(&self, arguments: &[&str], code: i32) -> String {
        let output = self.loadtest(arguments);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

fn run(side: &str, number: u32, factor: f64) -> RunReport {
    let mut report = sample::sample(&format!("{side}-{number}"), 60, 1);
    report.started_at += TimeDelta::seconds(i64::from(number) * 100 + i64::from(side.bytes().last().unwrap()));
    // The numbers of both sides overlap, and no two runs are equal.
    let noise = 1.0 + 0.01 * f64::from((number * 7 + u32::from(side.bytes().last().unwrap())) % 11);
    for stage in &mut report.latencies {
        for value in [&mut stage.summary.p50, &mut stage.summary.p99, &mut stage.summary.p999] {
            *value *= factor * noise;
        }
    }
    for phase in &mut report.phases {
        phase.stored_rate *= 1.0 + (noise - 1.0) / 100.0;
    }
    for process in &mut report.processes {
        process.cpu_cores *= noise;
        process.max_memory_bytes = (process.max_memory_bytes as f64 * noise) as u64;
    }
    report
}

fn changes(json: &Value, change: &str) -> Vec<String> {
    let figures = json["figures"].as_array().unwrap().iter().filter(|figure| figure["change"] == change);
    figures.map(|figure| figure["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn five_runs_a_side_tell_a_change_of_the_key_figures_and_its_size() {
    let runs = Runs::new();
    runs.side("a", 5, 1.0);
    runs.side("b", 5, 1.3);
    let json = runs.json(&["compare", "a", "b"]);
    assert_eq!(changes(&json, "worse"), ["stored p50", "stored p99", "stored p99.9"], "{json:#}");
    assert!(changes(&json, "better").is_empty());
    let p99 = &json["figures"].as_array().unwrap().iter().find(|figure| figure["name"] == "stored p99").unwrap();
    assert!((p99["shift_percent"].as_f64().unwrap() - 30.0).abs() < 8.0, "{p99:#}");
    let interval = p99["interval_percent"].as_array().unwrap();
    assert!(interval[0].as_f64().unwrap() > 15.0 && interval[1].as_f64().unwrap() < 45.0, "{p99:#}");
    assert!((p99["p"].as_f64().unwrap() - 2.0 / 252.0).abs() < 1e-9 && p99["cliffs_delta"] == 1.0, "{p99:#}");
    assert!(changes(&json, "too-few-runs").contains(&"ack p99".to_owned()), "{json:#}");
    assert!(json["warnings"].as_array().unwrap().is_empty(), "{json:#}");

    let reversed = runs.json(&["compare", "b", "a"]);
    assert_eq!(changes(&reversed, "better"), ["stored p50", "stored p99", "stored p99.9"]);
    let text = String::from_utf8(runs.loadtest(&["compare", "a", "b"]).stdout).unwrap();
    assert!(text.contains("details: ") && text.contains("TOO FEW RUNS"), "{text}");
    assert!(text.lines().filter(|line| line.starts_with('│')).all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn nothing_changes_between_sides_with_the_same_figures() {
    let runs = Runs::new();
    runs.side("a", 10, 1.0);
    runs.side("b", 10, 1.0);
    let json = runs.json(&["compare", "a", "b"]);
    let changed = [changes(&json, "worse"), changes(&json, "better"), changes(&json, "too-few-runs")].concat();
    assert!(changed.is_empty(), "{changed:?}");
    assert!(changes(&json, "none").contains(&"stored p99".to_owned()) && changes(&json, "equal").len() > 3);
    // Ten runs a side tell a change of the details too.
    runs.side("c", 10, 1.3);
    assert!(changes(&runs.json(&["compare", "a", "c"]), "worse").contains(&"insert p99".to_owned()));
}

#[test]
fn too_few_runs_tell_nothing_and_the_comparison_says_how_many_are_needed() {
    let runs = Runs::new();
    runs.side("a", 5, 1.0);
    runs.side("b", 1, 100.0);
    let json = runs.json(&["compare", "a", "b"]);
    assert!(changes(&json, "worse").is_empty() && changes(&json, "too-few-runs").contains(&"stored p99".to_owned()));
    let key = &json["families"][0];
    assert_eq!((key["family"].as_str(), key["runs_needed"].as_u64()), (Some("key"), Some(5)), "{key:#}");
    let error = runs.error(&["gate", "--baseline", "a", "b"], 1);
    assert!(error.contains("1 runs against 5 of the baseline are too few to tell a change"), "{error}");
}

#[test]
fn a_gate_passes_what_is_within_the_tolerance_and_names_what_is_worse() {
    let runs = Runs::new();
    runs.side("a", 5, 1.0);
    runs.side("b", 5, 1.3);
    let saved = runs.loadtest(&["gate", "--save", "baseline.json", "a"]);
    assert!(saved.status.success(), "{saved:?}");
    let same = runs.loadtest(&["gate", "--baseline", "baseline.json", "a"]);
    assert_eq!(same.status.code(), Some(0), "{same:?}");
    let worse = runs.loadtest(&["gate", "--baseline", "baseline.json", "b"]);
    let text = String::from_utf8(worse.stdout).unwrap();
    assert_eq!(worse.status.code(), Some(3), "{text}");
    assert!(text.contains("gate: WORSE: stored p50, stored p99, stored p99.9"), "{text}");
    let within = runs.loadtest(&["gate", "--baseline", "baseline.json", "b", "--tolerance", "60%"]);
    assert_eq!(within.status.code(), Some(0), "{within:?}");
    // What got better does not fail a gate.
    runs.side("c", 5, 0.5);
    assert_eq!(runs.loadtest(&["gate", "--baseline", "baseline.json", "c"]).status.code(), Some(0));
}

#[test]
fn one_missing_order_fails_a_gate_of_any_size() {
    let runs = Runs::new();
    runs.side("a", 5, 1.0);
    let mut report = run("b", 0, 1.0);
    report.counts.missing = 1;
    runs.write("b", &report);
    let output = runs.loadtest(&["gate", "--baseline", "a", "b"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("gate: WORSE: B b-0 missing: 1"), "{text}");
}

#[test]
fn a_run_that_proves_nothing_fails_a_gate() {
    let runs = Runs::new();
    runs.side("a", 5, 1.0);
    let mut not_audited = run("b", 0, 1.0);
    not_audited.audit = None;
    let mut dead_lettered = run("c", 0, 1.0);
    dead_lettered.audit.as_mut().unwrap().unexpected_dead_letters = 7;
    let mut not_measured = run("d", 0, 1.0);
    not_measured.latencies.retain(|stage| stage.stage != "stored");
    for (side, report, expected) in [
        ("b", not_audited, "B b-0 not audited"),
        ("c", dead_lettered, "B c-0 unexpected dead letters: 7"),
        ("d", not_measured, "B d-0 stored p99 not measured"),
    ] {
        runs.write(side, &report);
        let output = runs.loadtest(&["gate", "--baseline", "a", side]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(3), "{text}");
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn a_run_that_did_not_recover_from_a_fault_is_worse_than_all_that_did() {
    let runs = Runs::new();
    runs.side("a", 10, 1.0);
    for number in 0..10 {
        let mut report = run("b", number, 1.0);
        let recovery = report.faults[0].recovery.as_mut().unwrap();
        recovery.stored_rate_seconds = None;
        runs.write(&format!("b/{number}"), &report);
    }
    let json = runs.json(&["compare", "a", "b"]);
    let figure = json["figures"].as_array().unwrap().iter().find(|figure| figure["change"] == "worse").unwrap();
    assert_eq!(figure["name"], "rate recovery after kill kafka-2 at 12 s");
    assert_eq!((&figure["median_b"], &figure["shift"]), (&Value::Null, &Value::Null), "{figure:#}");
}

#[test]
fn differences_of_machine_scenario_and_versions_are_named() {
    let runs = Runs::new();
    runs.side("a", 5, 1.0);
    for number in 0..5 {
        let mut report = run("b", number, 1.0);
        report.machine.cores = 4;
        report.versions.insert("kafka".to_owned(), "4.2.0".to_owned());
        report.scenario.text = report.scenario.text.replace("producers = 1", "producers = 2");
        report.started_at += TimeDelta::days(1);
        runs.write(&format!("b/{number}"), &report);
    }
    let json = runs.json(&["compare", "a", "b"]);
    let warnings: Vec<&str> = json["warnings"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    assert_eq!(
        warnings[..3],
        [
            "the number of cores differs: A has 2, B has 4",
            "the version of kafka differs: A has 4.1.1, B has 4.2.0",
            "the scenario differs: run a-0 has 'producers = 1', run b-0 has 'producers = 2'",
        ]
    );
    assert!(warnings[3].starts_with("all runs of one side are earlier") && warnings.len() == 4, "{warnings:?}");
}

fn edit(report: &Path, change: impl FnOnce(&mut Value)) {
    let mut json: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    change(&mut json);
    std::fs::write(report, serde_json::to_vec(&json).unwrap()).unwrap();
}

#[test]
fn bad_input_is_refused_with_its_place_and_what_to_do() {
    let runs = Runs::new();
    runs.side("a", 2, 1.0);
    let error = runs.error(&["compare", "a", "nothing"], 1);
    assert!(error.contains("side B: there is no run 'nothing'") && error.contains("runs has no folder"), "{error}");
    std::fs::create_dir(runs.path("empty")).unwrap();
    assert!(runs.error(&["compare", "empty", "a"], 1).contains("side A: empty has no report"));
    std::fs::write(runs.path("text.json"), "not JSON").unwrap();
    assert!(runs.error(&["compare", "a", "text.json"], 1).contains("text.json is no report and no baseline"));

    runs.side("old", 1, 1.0);
    edit(&runs.path("old/0/report.json"), |json| json["version"] = 99.into());
    let error = runs.error(&["compare", "a", "old"], 1);
    assert!(error.contains("old/0/report.json has version 99, and this loadtest reads version 1"), "{error}");
    runs.side("stopped", 1, 1.0);
    edit(&runs.path("stopped/0/report.json"), |json| json["interrupted"] = true.into());
    assert!(runs.error(&["compare", "a", "stopped"], 1).contains("run stopped-0 was interrupted"));
    assert!(runs.error(&["compare", "--a", "a/0", "a/0", "--b", "a/1"], 1).contains("run a-0 is given twice"));

    for wrong in [
        &["compare", "a"][..],
        &["compare"],
        &["compare", "--a", "a"],
        &["compare", "a", "a", "--a", "a", "--b", "a"],
        &["compare", "a", "a", "--alpha", "5"],
        &["gate", "a"],
        &["gate", "--baseline", "a"],
        &["gate", "--baseline", "a", "--save", "b", "a"],
        &["gate", "--baseline", "a", "a", "--tolerance", "-1%"],
    ] {
        runs.error(wrong, 2);
    }
}

#[test]
fn a_run_is_found_by_its_id_in_the_folder_of_the_runs() {
    let runs = Runs::new();
    runs.side("runs", 2, 1.0);
    let json = runs.json(&["compare", "--a", "0", "--b", "1"]);
    assert_eq!((&json["runs_a"][0], &json["runs_b"][0]), (&"runs-0".into(), &"runs-1".into()));
}

/// A `loadtest` whose run writes the report of the next run in the folder `prepared` beside it.
fn fake_loadtest(runs: &Runs, side: &str) {
    use std::os::unix::fs::PermissionsExt;
    let script = "#!/bin/bash\nset -e\necho \"$1 $2\" >> ../calls; [[ $1 = run && $3 = --runs-dir ]]\n\
                  cd \"$(dirname \"$0\")\"; n=$(ls done | wc -l); mkdir -p done/$n \"$4\"; cp -r prepared/$n \"$4/\"; exit 3\n";
    let script =
        script.replace("../calls", &runs.path("calls").display().to_string()).replace("$1 $2", &format!("{side} $2"));
    std::fs::create_dir_all(runs.path(side).join("done")).unwrap();
    let path = runs.path(side).join("loadtest");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    for number in 0..5 {
        runs.write(&format!("{side}/prepared/{number}"), &run(side, number, if side == "b" { 1.3 } else { 1.0 }));
    }
}

#[test]
fn two_builds_run_a_scenario_in_turns_and_are_compared() {
    let runs = Runs::new();
    fake_loadtest(&runs, "a");
    fake_loadtest(&runs, "b");
    let runs_dir = runs.path("runs").display().to_string();
    let json = runs.json(&["compare", "--run", "steady", "--a", "a", "--b", "b", "--runs-dir", &runs_dir]);
    assert_eq!(changes(&json, "worse"), ["stored p50", "stored p99", "stored p99.9"], "{json:#}");
    let calls = std::fs::read_to_string(runs.path("calls")).unwrap();
    let sides: Vec<&str> = calls.lines().map(|line| line.split_once(' ').unwrap().0).collect();
    assert_eq!(sides, ["a", "b", "b", "a", "a", "b", "b", "a", "a", "b"]);
    let error = runs.error(&["compare", "--run", "steady", "--a", "nowhere", "--b", "b"], 1);
    assert!(error.contains("nowhere/loadtest does not exist"), "{error}");
    let error = runs.error(&["compare", "--run", "steady", "--a", "a", "b", "--b", "b"], 1);
    assert!(error.contains("--run needs one folder of programs for --a"), "{error}");
}
