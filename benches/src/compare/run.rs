//! The commands `loadtest compare` and `loadtest gate`.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Serialize;
use shared::program::{Outcome, OutputFormat};
use tokio_util::sync::CancellationToken;

use super::{
    comparison::Comparison,
    gate::{GateReport, GateVerdict},
    load::{Baseline, load},
    turns::run_in_turns,
};
use crate::settings::{CompareSettings, GateSettings};

/// Compares two sides and prints the result. With `--run`, it first makes their runs.
///
/// # Errors
/// When a run fails or can't be read, or on `stop`.
pub async fn run_compare(settings: &CompareSettings, stop: &CancellationToken) -> anyhow::Result<Outcome> {
    let (a, b) = match &settings.run {
        None => {
            let (a, b) = settings.sides();
            (a.to_vec(), b.to_vec())
        }
        Some(scenario) => {
            let [a, b] = [&settings.a, &settings.b].map(Vec::as_slice);
            let ([a], [b]) = (a, b) else { bail!("--run needs one folder of programs for --a, and one for --b") };
            let running = run_in_turns(scenario, [a, b], settings.rounds, &settings.runs);
            let [a, b] = stop.run_until_cancelled(running).await.context("interrupted")??;
            (vec![a], vec![b])
        }
    };
    let (a, b) = (load(&a, &settings.runs).context("side A")?, load(&b, &settings.runs).context("side B")?);
    print(&Comparison::new(&a, &b, settings.alpha.0), settings.output)?;
    Ok(Outcome::Valid)
}

/// Writes a baseline, or judges runs by one and prints the result.
///
/// # Errors
/// When a run or the baseline can't be read or written, or there are too few runs to tell a change.
pub fn run_gate(settings: &GateSettings) -> anyhow::Result<Outcome> {
    let runs = load(&settings.run_ids, &settings.runs)?;
    if let Some(file) = &settings.save {
        return save(file, &Baseline::new(runs)).map(|()| Outcome::Valid);
    }
    let baseline: Vec<PathBuf> = settings.baseline.iter().cloned().collect();
    let baseline = load(&baseline, &settings.runs).context("the baseline")?;
    let comparison = Comparison::new(&baseline, &runs, settings.alpha.0);
    let report = GateReport::new(comparison, settings.tolerance.0 * 100.0);
    print(&report, settings.output)?;
    match report.verdict {
        GateVerdict::Passed => Ok(Outcome::Valid),
        GateVerdict::Worse => Ok(Outcome::Invalid),
        GateVerdict::TooFewRuns => bail!(
            "{} runs against {} of the baseline are too few to tell a change: add runs, or save a baseline of more runs",
            report.comparison.runs_b.len(),
            report.comparison.runs_a.len()
        ),
    }
}

/// The old file stays whole until the new one is.
fn save(file: &Path, baseline: &Baseline) -> anyhow::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = || format!("the baseline can't be written to {}", file.display());
    let temporary = tempfile::NamedTempFile::new_in(folder).with_context(failed)?;
    serde_json::to_writer_pretty(&temporary, baseline).with_context(failed)?;
    temporary.persist(file).with_context(failed)?;
    tracing::info!("baseline of {} runs in {}", baseline.runs.len(), file.display());
    Ok(())
}

fn print<Result: Serialize + std::fmt::Display>(result: &Result, output: OutputFormat) -> anyhow::Result<()> {
    match output {
        OutputFormat::Json => println!("{}", serde_json::to_string_pretty(result)?),
        OutputFormat::Text => println!("{result}"),
    }
    Ok(())
}
