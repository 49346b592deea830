//! The command `loadtest find-max`: joins the stack, searches on resources of its own, and prints the report.

use std::time::Instant;

use anyhow::{Context, bail};
use chrono::Utc;
use shared::{
    ledger::{RunId, RunsFolder},
    order_id::RunTag,
    program::{Outcome, OutputFormat},
};
use tokio_util::sync::CancellationToken;

use super::{
    page,
    probe::Prober,
    report::{FindMaxReport, JSON, PAGE},
    session::Session,
};
use crate::{
    bench::environment::BenchEnvironment,
    fault::Target,
    measure::{LagSource, stack_folder},
    process::kafka_config_arguments,
    report::write_file,
    run::{ProgramSetup, Programs, chosen_stack, join, prepare, wait_for_assignment},
    settings::FindMaxSettings,
};

/// The rest of the budget is for the end of the programs, the audit and the deletion of what the search created.
const SEARCH_SHARE: f64 = 0.9;

/// Searches, prints the report and writes it to a folder of its own among the runs. The topic, the database and the keys
/// of the search are its own and deleted at the end, also on `stop`, which ends the search with what is known so far.
///
/// # Errors
/// When a program or a service fails.
pub async fn run_find_max(settings: FindMaxSettings, stop: CancellationToken) -> anyhow::Result<Outcome> {
    if let Err(error) = settings.check() {
        eprintln!("error: {error}");
        std::process::exit(2)
    }
    let stack = join(&settings.stack, &stop).await?;
    let searched = find_max(&settings, &stop).await;
    if let Some(stack) = stack {
        stack.leave().await;
    }
    let report = searched?;
    match settings.output {
        OutputFormat::Json => println!("{}", serde_json::to_string_pretty(&report)?),
        OutputFormat::Text => println!("{report}"),
    }
    match &report.error {
        Some(error) => bail!("the search ended early: {error}"),
        None => Ok(if report.is_valid() { Outcome::Valid } else { Outcome::Invalid }),
    }
}

async fn find_max(settings: &FindMaxSettings, stop: &CancellationToken) -> anyhow::Result<FindMaxReport> {
    let started = Instant::now();
    let folder = settings.runs.runs_dir.join(format!("find-max-{}", RunId::new(Utc::now(), RunTag::random())));
    std::fs::create_dir_all(&folder).with_context(|| {
        format!("the folder {} can't be created: choose another one with --runs-dir", folder.display())
    })?;
    let environment = BenchEnvironment::create(&settings.services).await?;
    let searched = search(settings, &environment, RunsFolder { runs_dir: folder }, started, stop).await;
    let deleted = environment.delete().await;
    let report = searched?;
    deleted.context("the result is in the folder of the search, but not all that it created is deleted")?;
    Ok(report)
}

async fn search(
    settings: &FindMaxSettings,
    environment: &BenchEnvironment,
    runs: RunsFolder,
    started: Instant,
    stop: &CancellationToken,
) -> anyhow::Result<FindMaxReport> {
    let (folder, group) = (runs.runs_dir.clone(), environment.name.clone());
    let mut variables = environment.variables.clone();
    variables.push(("CONSUMER_GROUP".to_owned(), group.clone()));
    let programs = Programs::new(ProgramSetup {
        folder: folder.clone(),
        environment: variables,
        kafka_config: kafka_config_arguments(&environment.services.kafka),
    });
    let starting = stop.run_until_cancelled(start(&programs, settings, environment)).await;
    let starting = starting.context("interrupted before the first probe").flatten();
    if let Err(error) = starting {
        programs.stop_all().await?;
        return Err(error);
    }
    let budget = settings.budget.mul_f64(SEARCH_SHARE);
    let prober = Prober {
        lag: LagSource::new(&environment.services, &group),
        runs,
        stack_folder: chosen_stack(&settings.stack).map(|stack| stack_folder(&stack.script, &stack.name)),
        requirements: settings.requirements(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        deadline: started + budget,
        programs: programs.clone(),
    };
    let mut session = Session::new(settings, prober, started, budget);
    session.probe_until_done(stop).await;
    // One that is stopped while it starts does not end well. Its probe is not in the result.
    if let Err(error) = programs.stop_running(|target| matches!(target, Target::Producer(_))).await {
        tracing::debug!("{error:#}");
    }
    if let Err(error) = programs.stop_all().await {
        session.fail(error);
    }
    session.audit(environment, stop).await;
    let report = session.report();
    write_file(&folder.join(JSON), &(serde_json::to_string_pretty(&report)? + "\n"))?;
    write_file(&folder.join(PAGE), &page::page(&report)?)?;
    Ok(report)
}

/// Creates tables and topics, and starts cache-worker and consumers.
async fn start(programs: &Programs, settings: &FindMaxSettings, environment: &BenchEnvironment) -> anyhow::Result<()> {
    let variables = &programs.setup().environment;
    let partitions = prepare(&environment.services, &environment.name, variables).await?;
    programs.start(Target::CacheWorker).await?;
    programs.wait_until_ready(Target::CacheWorker).await.context("the cache-worker has not filled the cache")?;
    programs.scale_consumers(settings.consumers).await?;
    wait_for_assignment(programs, partitions).await
}
