//! The steps of a run, in order.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, bail};
use shared::{ledger::RunsFolder, telemetry::log_run_id};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::{
    chronicle::Chronicle,
    conclude::EndedRun,
    fault_log::observer,
    folder::RunFolder,
    join::chosen_stack,
    load::{Load, LoadResult, lag_source},
    prepare::prepare,
    producers,
    programs::Programs,
    setup::ProgramSetup,
    waits::{Drained, drain, wait_for_assignment},
};
use crate::{
    fault::{Fault, Target, breaker::Breaker, injector::Injector, preparation::Preparation, stack::Stack},
    measure::stack_folder,
    process::kafka_config_arguments,
    report::{self, model::RunReport},
    scenario::Scenario,
    settings::RunSettings,
    view::{Observation, Observations, Outline},
};

/// Runs a scenario on the services of `settings`, and writes its report to the folder of the run. All programs have
/// ended when this returns. On `stop` the report is that of the run until then.
///
/// # Errors
/// When a service can't be reached, a program can't be started, on `stop` before the load, or when the report can't be
/// written. A run that is not valid is no error.
pub async fn run_scenario(
    scenario: &Scenario,
    settings: &RunSettings,
    observations: &Observations,
    stop: &CancellationToken,
) -> anyhow::Result<RunReport> {
    let stack = chosen_stack(&settings.stack);
    let folder = RunFolder::create(scenario, settings, stack.as_ref().map(|stack| stack.name.as_str()))?;
    log_run_id(&folder.run_id);
    let chronicle = Chronicle::new(observations.clone());
    let programs = Programs::new(program_setup(settings, &folder));
    chronicle.observe(Observation::Outline(Arc::new(outline(scenario, &folder))));
    let telling = tell_of_programs(&programs, chronicle.clone());
    let stack_folder = stack.as_ref().map(|stack| stack_folder(&stack.script, &stack.name));
    let run = ScenarioRun { scenario, settings, folder: &folder, programs: &programs, chronicle: &chronicle };
    let load = run.execute(stack, stack_folder.clone(), stop).await;
    telling.abort();
    let ended = EndedRun {
        scenario,
        settings,
        folder: &folder,
        programs: &programs,
        chronicle: &chronicle,
        load: load?,
        stack_folder,
    };
    let report = ended.report().await?;
    report::write(&report, &folder.path)
        .with_context(|| format!("{}: the report can't be written: free some disk space", report.verdict.sentence))?;
    Ok(report)
}

/// A run that is about to begin.
struct ScenarioRun<'a> {
    scenario: &'a Scenario,
    settings: &'a RunSettings,
    folder: &'a RunFolder,
    programs: &'a Programs,
    chronicle: &'a Chronicle,
}

impl ScenarioRun<'_> {
    /// Runs everything until the programs have ended and the faults are undone.
    async fn execute(
        &self,
        stack: Option<Stack>,
        stack_folder: Option<PathBuf>,
        stop: &CancellationToken,
    ) -> anyhow::Result<LoadResult> {
        let injector = stop.run_until_cancelled(self.injector(stack)).await;
        let injector = injector.context("interrupted while the faults were prepared")??;
        let load = self.run(&injector, stack_folder, stop).await;
        let stopped = self.programs.stop_all().await;
        // What the faults needed, such as a small disk with the ledgers, is needed until the programs have ended.
        tokio::task::spawn_blocking(move || drop(injector)).await?;
        let load = load?;
        if let Err(error) = stopped {
            self.chronicle.failure(format!("{error:#}"));
        }
        Ok(load)
    }

    async fn injector(&self, stack: Option<Stack>) -> anyhow::Result<Injector> {
        let faults: Vec<Fault> = self.scenario.faults.iter().map(|timed| timed.fault.clone()).collect();
        let preparation =
            Preparation::start(&faults, stack.as_ref(), &self.folder.path, &self.settings.runs.runs_dir).await?;
        for target in self.targets() {
            self.programs.set_environment(target, preparation.environment(target));
        }
        let breaker = Breaker {
            programs: self.programs.clone(),
            stack,
            database: self.settings.services.database.settings()?,
            preparation,
            several_brokers_down: self.scenario.several_brokers_down,
        };
        Ok(Injector::new(breaker, observer(&self.folder.path, self.chronicle.clone())?))
    }

    /// Every program that the run may start.
    fn targets(&self) -> impl Iterator<Item = Target> {
        let scaled = self.scenario.faults.iter().filter_map(|timed| match timed.fault {
            Fault::ScaleConsumers(number) => Some(number),
            _ => None,
        });
        let consumers = scaled.chain([self.scenario.load.consumers]).max().unwrap_or_default();
        let producers = (1..=self.scenario.load.producers).map(Target::Producer);
        (1..=consumers).map(Target::Consumer).chain(producers).chain([Target::CacheWorker])
    }

    async fn run(
        &self,
        injector: &Injector,
        stack_folder: Option<PathBuf>,
        stop: &CancellationToken,
    ) -> anyhow::Result<LoadResult> {
        let started = stop.run_until_cancelled(self.start()).await;
        started.context("interrupted before the load; the started programs are stopped")??;
        let runs = injector.ledgers().map_or_else(|| self.settings.runs.clone(), |runs_dir| RunsFolder { runs_dir });
        let load = Load {
            scenario: self.scenario,
            settings: self.settings,
            producers: producers::setup(self.scenario, &self.folder.run_id, &runs),
            programs: self.programs,
            injector,
            chronicle: self.chronicle,
            stack_folder,
        };
        load.run(stop).await
    }

    async fn start(&self) -> anyhow::Result<()> {
        self.chronicle.step("preparing the database and the topics");
        let partitions =
            prepare(&self.settings.services, &self.settings.group, &self.programs.setup().environment).await?;
        self.chronicle.step("starting the programs");
        self.programs.start(Target::CacheWorker).await?;
        let filled = self.programs.wait_until_ready(Target::CacheWorker).await;
        filled.context("the cache-worker has not filled the cache")?;
        self.programs.scale_consumers(self.scenario.load.consumers).await?;
        wait_for_assignment(self.programs, partitions).await?;
        // Records of earlier runs would delay the records of this one.
        match drain(&lag_source(self.settings)).await? {
            Drained::All => Ok(()),
            Drained::Stuck { lag } => bail!(
                "{lag} records of earlier runs are not consumed: see the consumers' logs in {}",
                self.programs.setup().logs().display()
            ),
        }
    }
}

fn program_setup(settings: &RunSettings, folder: &RunFolder) -> ProgramSetup {
    let mut environment = settings.services.environment();
    environment.push(("CONSUMER_GROUP".to_owned(), settings.group.clone()));
    ProgramSetup {
        folder: folder.path.clone(),
        environment,
        kafka_config: kafka_config_arguments(&settings.services.kafka),
    }
}

fn outline(scenario: &Scenario, folder: &RunFolder) -> Outline {
    Outline {
        title: scenario.name.clone(),
        run_id: folder.run_id.to_string(),
        phases: scenario.phases.clone(),
        logs: folder.path.join("logs"),
    }
}

/// Passes what happens to the programs on to those who watch.
fn tell_of_programs(programs: &Programs, chronicle: Chronicle) -> AbortHandle {
    let mut events = programs.events();
    let telling = tokio::spawn(async move {
        while let Ok(event) = events.recv().await {
            if event.is_unexpected() {
                tracing::warn!("{event}");
            }
            chronicle.tell(event.at, event.to_string());
        }
    });
    telling.abort_handle()
}
