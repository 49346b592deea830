use std::path::PathBuf;

use clap::Args;
use shared::ledger::{RunId, RunsFolder};

/// Runs to draw, and the file of the page.
#[derive(Clone, Debug, Args)]
pub struct ReportSettings {
    /// Ids of runs of `loadtest run`. Several are laid over each other in one page, a color each.
    #[arg(required = true, value_name = "RUN_ID")]
    pub run_ids: Vec<RunId>,
    /// File of the page. By default, report.html in the folder of the run; required for several runs.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub runs: RunsFolder,
}
