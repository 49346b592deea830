//! The producers of a run: started together before the first due time, and waited for until all have ended.

use std::time::Duration;

use chrono::{DateTime, Utc};
use shared::ledger::{RunId, RunsFolder};
use tokio::time::sleep;

use super::{programs::Programs, setup::ProducerSetup};
use crate::{fault::Target, scenario::Scenario};

/// Time for the first producer to connect, before the first due time. Each further one adds a part of it.
const START_DELAY: Duration = Duration::from_secs(3);
/// How often the producers are checked for their end.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);
/// After the end of the schedule and of the changes, for the last acknowledgements and the summary; longer than
/// --flush-timeout.
const END_TIMEOUT: Duration = Duration::from_secs(60);

/// The producers of `scenario`, whose first order is due soon.
pub fn setup(scenario: &Scenario, run_id: &RunId, runs: &RunsFolder) -> ProducerSetup {
    let load = &scenario.load;
    let start_at = ProducerSetup::start_after(START_DELAY + START_DELAY / 10 * u32::from(load.producers));
    let (seed, invalid) = (load.seed.to_string(), load.invalid.to_string());
    let arguments =
        [("--steps", scenario.steps()), ("--seed", seed), ("--source", load.source.clone()), ("--invalid", invalid)];
    let arguments = arguments.into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
    let lifecycle = load.lifecycle.as_ref().map(|lifecycle| match &lifecycle.file {
        None => "--lifecycle".to_owned(),
        Some(file) => format!("--lifecycle={}", file.display()),
    });
    let arguments = arguments.chain(lifecycle).collect();
    ProducerSetup { run_id: run_id.clone(), runs: runs.clone(), shards: load.producers, start_at, arguments }
}

/// Starts all producers of `setup`.
///
/// # Errors
/// When one can't be started.
pub async fn start(programs: &Programs, setup: ProducerSetup) -> anyhow::Result<()> {
    let targets = (1..=setup.shards).map(Target::Producer);
    programs.set_producers(setup);
    programs.start_all(targets).await
}

/// Waits until the schedule is over and no producer runs, or until they are overdue: `length`, `changes` and a minute
/// after `start`. `changes` is the time for which orders change after they were placed. Without a producer that could
/// go on, it does not wait for the end of the schedule.
pub async fn wait_for_end(programs: &Programs, start: DateTime<Utc>, length: Duration, changes: Duration) -> Ended {
    let deadline = start + length + changes + END_TIMEOUT;
    loop {
        let producers = programs.list().into_iter().filter(|program| matches!(program.target, Target::Producer(_)));
        let (running, ended): (Vec<_>, Vec<_>) = producers.partition(|program| program.is_running);
        // They end with their last order. Phases without one and faults may follow it.
        let has_failed = ended.iter().any(|program| program.exit_code.is_some_and(|code| code != 0 && code != 3));
        if running.is_empty() && (has_failed || Utc::now() > start + length) {
            return Ended::ByThemselves;
        }
        if Utc::now() > deadline {
            return Ended::Overdue;
        }
        sleep(CHECK_INTERVAL).await;
    }
}

/// How a wait for the producers ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    ByThemselves,
    Overdue,
}
