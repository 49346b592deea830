//! Reads the runs of a side: from reports, from folders with reports, and from baseline files.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::ledger::RunsFolder;

use super::figures::RunFigures;
use crate::report::model::{RunReport, VERSION};

/// Name of the report in the folder of a run.
const REPORT: &str = "report.json";
/// Version of the format of a baseline file.
const BASELINE_VERSION: u32 = 1;

/// Why the runs of a side can't be compared.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(
        "there is no run '{name}': it is neither a file nor a folder, and {runs_dir} has no folder of this name \
         (loadtest run prints the id of a run)"
    )]
    NoSuchRun { name: String, runs_dir: String },
    #[error("{0} has no report: neither {REPORT} nor folders with one. A report is written at the end of loadtest run")]
    NoReport(String),
    #[error("{path} can't be read: {error}")]
    Unreadable { path: String, error: std::io::Error },
    #[error("{path} is no report and no baseline: {error}")]
    NotAReport { path: String, error: serde_json::Error },
    #[error(
        "{path} has version {found}, and this loadtest reads version {expected}: compare it with the loadtest that \
         wrote it, or run the scenario again"
    )]
    Version { path: String, found: String, expected: u32 },
    #[error(
        "run {run_id} was interrupted: its figures are not those of the whole scenario. Leave it out, or run the \
         scenario again"
    )]
    Interrupted { run_id: String },
    #[error("run {run_id} is given twice, which would make the noise look smaller than it is")]
    Twice { run_id: String },
}

/// The figures of several runs in a file, for `loadtest gate`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Baseline {
    pub baseline_version: u32,
    pub runs: Vec<RunFigures>,
}

impl Baseline {
    pub fn new(runs: Vec<RunFigures>) -> Self {
        Self { baseline_version: BASELINE_VERSION, runs }
    }
}

/// The runs that the arguments of a side name: the id of a run, its folder, its `report.json`, a folder with folders of
/// runs, or a baseline file.
///
/// # Errors
/// When an argument names no run, a file is not what it should be, or a run is there twice.
pub fn load(names: &[PathBuf], runs: &RunsFolder) -> Result<Vec<RunFigures>, LoadError> {
    let mut loaded: Vec<RunFigures> = Vec::new();
    for name in names {
        for run in load_one(name, runs)? {
            if loaded.iter().any(|other| other.run_id == run.run_id) {
                return Err(LoadError::Twice { run_id: run.run_id });
            }
            loaded.push(run);
        }
    }
    Ok(loaded)
}

fn load_one(name: &Path, runs: &RunsFolder) -> Result<Vec<RunFigures>, LoadError> {
    let of_run = runs.runs_dir.join(name);
    let path = [name.to_owned(), of_run].into_iter().find(|path| path.exists());
    let no_such_run =
        || LoadError::NoSuchRun { name: name.display().to_string(), runs_dir: runs.runs_dir.display().to_string() };
    let path = path.ok_or_else(no_such_run)?;
    match path.is_dir() {
        true => load_folder(&path),
        false => load_file(&path),
    }
}

fn load_folder(folder: &Path) -> Result<Vec<RunFigures>, LoadError> {
    let report = folder.join(REPORT);
    if report.exists() {
        return load_file(&report);
    }
    let entries = std::fs::read_dir(folder).map_err(|error| unreadable(folder, error))?;
    let reports = entries.flatten().map(|entry| entry.path().join(REPORT));
    let mut reports: Vec<PathBuf> = reports.filter(|report| report.exists()).collect();
    reports.sort();
    if reports.is_empty() {
        return Err(LoadError::NoReport(folder.display().to_string()));
    }
    let runs: Result<Vec<_>, _> = reports.iter().map(|report| load_file(report)).collect();
    Ok(runs?.into_iter().flatten().collect())
}

fn load_file(path: &Path) -> Result<Vec<RunFigures>, LoadError> {
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, error))?;
    let not_a_report = |error| LoadError::NotAReport { path: path.display().to_string(), error };
    let json: Value = serde_json::from_str(&text).map_err(not_a_report)?;
    // The version first: a file of another version has other fields.
    if let Some(version) = json.get("baseline_version") {
        check_version(path, version, BASELINE_VERSION)?;
        let baseline: Baseline = serde_json::from_str(&text).map_err(not_a_report)?;
        return Ok(baseline.runs);
    }
    check_version(path, json.get("version").unwrap_or(&Value::Null), VERSION)?;
    let report: RunReport = serde_json::from_str(&text).map_err(not_a_report)?;
    match report.interrupted {
        true => Err(LoadError::Interrupted { run_id: report.run_id }),
        false => Ok(vec![RunFigures::of(&report)]),
    }
}

fn unreadable(path: &Path, error: std::io::Error) -> LoadError {
    LoadError::Unreadable { path: path.display().to_string(), error }
}

fn check_version(path: &Path, found: &Value, expected: u32) -> Result<(), LoadError> {
    if found.as_u64() == Some(u64::from(expected)) {
        return Ok(());
    }
    let found = if found.is_null() { "none".to_owned() } else { found.to_string() };
    Err(LoadError::Version { path: path.display().to_string(), found, expected })
}
