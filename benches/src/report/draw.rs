//! `loadtest report`: draws the page of one run again, or one page that compares several runs.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use shared::program::Outcome;

use super::{
    files::{PAGE, read, write_file},
    model::RunReport,
    page::{comparison_page, report_page},
};
use crate::settings::ReportSettings;

/// Draws the page, and prints its path.
///
/// # Errors
/// When the report of a run can't be read, or the page can't be written.
pub fn draw_reports(settings: &ReportSettings) -> anyhow::Result<Outcome> {
    let mut reports: Vec<RunReport> = Vec::new();
    for id in &settings.run_ids {
        let report = read(&settings.runs.folder(id))?;
        ensure!(reports.iter().all(|other| other.run_id != report.run_id), "run {id} is named twice");
        reports.push(report);
    }
    let (path, page): (PathBuf, String) = match (reports.as_slice(), &settings.out) {
        ([report], out) => {
            let of_run = || settings.runs.folder(&settings.run_ids[0]).join(PAGE);
            (out.clone().unwrap_or_else(of_run), report_page(report)?)
        }
        (several, out) => {
            let out = out.clone().context("several runs are drawn in one page: name its file with --out FILE")?;
            (out, comparison_page(several)?)
        }
    };
    write_file(&path, &page)?;
    println!("{}", path.display());
    Ok(Outcome::Valid)
}
