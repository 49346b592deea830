//! `loadtest report`.

use std::{fs, path::PathBuf, process::Output};

use benches::{process::command, report};
use tempfile::TempDir;

use crate::sample::sample;

/// Reports of runs with these ids, and the page that compares them.
pub fn compare(ids: &[&str]) -> (TempDir, PathBuf) {
    let runs = runs(ids);
    let page = runs.path().join("comparison.html");
    let output = loadtest_report(&runs, &[ids, &["--out", page.to_str().unwrap()]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim_end(), page.to_str().unwrap());
    (runs, page)
}

fn runs(ids: &[&str]) -> TempDir {
    let runs = tempfile::tempdir().unwrap();
    for (seed, id) in ids.iter().enumerate() {
        let folder = runs.path().join(id);
        fs::create_dir(&folder).unwrap();
        report::write(&sample(id, 60 + 10 * seed, seed as u64), &folder).unwrap();
    }
    runs
}

fn loadtest_report(runs: &TempDir, arguments: &[&str]) -> Output {
    let mut loadtest = command("loadtest").unwrap();
    loadtest.arg("report").args(arguments).arg("--runs-dir").arg(runs.path()).output().unwrap()
}

#[test]
fn a_report_is_drawn_again_from_its_json() {
    let runs = runs(&["first"]);
    let page = runs.path().join("first").join(report::PAGE);
    let before = fs::read_to_string(&page).unwrap();
    fs::remove_file(&page).unwrap();
    let output = loadtest_report(&runs, &["first"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read_to_string(&page).unwrap(), before);
}

#[test]
fn the_figures_of_compared_runs_are_side_by_side() {
    let (_runs, page) = compare(&["first", "second"]);
    let page = fs::read_to_string(page).unwrap();
    let row = page.lines().find(|line| line.contains(">acknowledged</td>")).unwrap();
    assert!(row.contains(">66,000</td>") && row.contains(">77,000</td>"), "{row}");
}

#[test]
fn a_run_without_a_report_and_several_without_a_file_are_refused() {
    let runs = runs(&["first", "second"]);
    let error = |arguments: &[&str]| {
        let output = loadtest_report(&runs, arguments);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(error(&["third"]).contains("third/report.json does not exist: `loadtest run` writes it"));
    assert!(error(&["first", "second"]).contains("name its file with --out FILE"));
    assert!(error(&["first", "first", "--out", "/dev/null"]).contains("run first is named twice"));
    let json = runs.path().join("first").join(report::JSON);
    fs::write(&json, fs::read_to_string(&json).unwrap().replace("{\"version\":1,", "{\"version\":2,")).unwrap();
    assert!(error(&["first"]).contains("has format 2, and this loadtest reads format 1"));
}
