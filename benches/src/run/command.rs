//! `loadtest run`.

use anyhow::bail;
use shared::program::{Outcome, OutputFormat};
use tokio_util::sync::CancellationToken;

use super::{
    join::{chosen_stack, join},
    scenario_run::run_scenario,
    summary::{overview, table},
};
use crate::{
    report::model::RunReport,
    scenario::{Scenario, print_scenario},
    settings::RunSettings,
    view::{View, observations},
};

/// Runs a scenario and prints the result.
///
/// # Errors
/// Those of [`run_scenario`], when the stack can't be started, and on `stop`.
pub async fn run_command(settings: RunSettings, stop: CancellationToken) -> anyhow::Result<Outcome> {
    let scenario = load(&settings);
    if settings.check {
        return print_scenario(&scenario, settings.output);
    }
    View::check(settings.view)?;
    let stack = join(&settings.stack, &stop).await?;
    let report = watched_run(&scenario, &settings, &stop).await;
    if let Some(stack) = stack {
        stack.leave().await;
    }
    let report = report?;
    print(&report, &settings)?;
    if report.interrupted {
        bail!("interrupted: the report in {} is that of the run until then", folder(&report, &settings).display());
    }
    Ok(if report.verdict.valid { Outcome::Valid } else { Outcome::Invalid })
}

/// The scenario of the settings. What is wrong with it ends the process as wrong usage.
pub fn load(settings: &RunSettings) -> Scenario {
    let scenario = settings.scenario.load().unwrap_or_else(|error| {
        eprintln!("{error}");
        std::process::exit(2)
    });
    if let (None, Some(fault)) =
        (chosen_stack(&settings.stack), scenario.faults.iter().find(|it| it.fault.needs_stack()))
    {
        eprintln!(
            "error: the fault {} needs a stack of deploy/stack, and the environment or a flag names other services: \
             use --stack NAME",
            fault.fault
        );
        std::process::exit(2)
    }
    scenario
}

async fn watched_run(
    scenario: &Scenario,
    settings: &RunSettings,
    stop: &CancellationToken,
) -> anyhow::Result<RunReport> {
    let observations = observations();
    let _view = View::start(settings.view, observations.subscribe(), stop.clone())?;
    run_scenario(scenario, settings, &observations, stop).await
}

fn folder(report: &RunReport, settings: &RunSettings) -> std::path::PathBuf {
    settings.runs.runs_dir.join(&report.run_id)
}

fn print(report: &RunReport, settings: &RunSettings) -> anyhow::Result<()> {
    let folder = folder(report, settings);
    match settings.output {
        OutputFormat::Json => println!("{}", serde_json::to_string_pretty(&overview(report, &folder))?),
        OutputFormat::Text => {
            println!("{}", table(report));
            println!("report: {}", folder.join("report.html").display());
        }
    }
    Ok(())
}
