//! Starts the programs of a run, and waits until they are there.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use tokio::{net::TcpStream, time::sleep};

use super::{
    program_event::{ProgramChange, ProgramEvent},
    programs::{CHECK_INTERVAL, Programs},
    registry::Entry,
};
use crate::{
    fault::Target,
    metrics,
    process::{Program, free_address},
};

/// Timeout of a start, with its repetitions, and of the readiness after it.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause before a start is repeated.
const START_PAUSE: Duration = Duration::from_secs(1);

/// How a start went.
enum Start {
    Serving,
    PortInUse,
    Ended(String),
}

impl Programs {
    /// Starts a program and waits until it serves its metrics. A program that was started before keeps its name, its
    /// folders and its address, and its log is appended to; a producer resumes its shard. When another program ends at
    /// once, as a consumer does while the database is down, the start is repeated for a minute.
    ///
    /// # Errors
    /// When it runs already, can't be started, or is told to end meanwhile.
    pub async fn start(&self, target: Target) -> anyhow::Result<()> {
        let is_restart = self.get(target).is_some();
        let started = Instant::now();
        loop {
            self.spawn(target)?;
            match self.wait_until_serving(target).await? {
                Start::Serving => return Ok(()),
                Start::PortInUse => ensure!(started.elapsed() < START_TIMEOUT, "{target} finds no free port"),
                Start::Ended(why) => {
                    let may_repeat = is_restart && !matches!(target, Target::Producer(_));
                    ensure!(may_repeat && started.elapsed() < START_TIMEOUT, "{target} did not start: {why}");
                    sleep(START_PAUSE).await;
                }
            }
        }
    }

    /// Starts several programs at the same time.
    ///
    /// # Errors
    /// The first error of [`Self::start`].
    pub async fn start_all(&self, targets: impl IntoIterator<Item = Target>) -> anyhow::Result<()> {
        self.each(targets, |programs, target| async move { programs.start(target).await }).await
    }

    /// Waits until `/readyz` of a running program answers 200.
    ///
    /// # Errors
    /// When it ends, or is not ready after a minute.
    pub async fn wait_until_ready(&self, target: Target) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            let program = self.get(target).filter(|program| program.is_running);
            let program = program.with_context(|| format!("{target} does not run: see {}", self.log_path(target)))?;
            if metrics::is_ready(program.address).await {
                return Ok(());
            }
            ensure!(
                started.elapsed() < START_TIMEOUT,
                "{target} is not ready after {START_TIMEOUT:?}: see {}",
                self.log_path(target)
            );
            sleep(CHECK_INTERVAL).await;
        }
    }

    fn spawn(&self, target: Target) -> anyhow::Result<()> {
        let (mut guard, setup) = (self.state(), &self.registry.setup);
        let state = &mut *guard;
        state.note_ends(&self.registry.events);
        let earlier = state.entries.get(&target);
        ensure!(earlier.is_none_or(|entry| entry.program.is_none()), "{target} runs already");
        let (kept, starts) = earlier.map_or((None, 0), |entry| (Some(entry.address), entry.starts));
        let address = match kept.filter(|address| TcpListener::bind(address).is_ok()) {
            Some(address) => address,
            None => free_address()?,
        };
        let environment = state.environments.get(&target).map_or(&[][..], Vec::as_slice);
        let command = setup.command(target, address, state.producers.as_ref(), environment)?;
        let program = Program::spawn_again(&target.to_string(), command, &setup.logs())?;
        state.entries.insert(target, Entry::started(program, address, starts + 1));
        state.note(ProgramEvent::now(target, ProgramChange::Started), &self.registry.events);
        Ok(())
    }

    async fn wait_until_serving(&self, target: Target) -> anyhow::Result<Start> {
        let started = Instant::now();
        loop {
            let address = {
                let mut state = self.state();
                state.note_ends(&self.registry.events);
                let entry = state.entries.get(&target).with_context(|| format!("{target} was never started"))?;
                if entry.program.is_none() {
                    ensure!(entry.told.is_none(), "{target} was told to end while it started");
                    let why = state.history.iter().rev().find_map(|event| match &event.change {
                        ProgramChange::DidNotStart(why) if event.target == target => Some(why.clone()),
                        _ => None,
                    });
                    let why = why.unwrap_or_default();
                    return Ok(if why.contains("metrics can't be served") {
                        Start::PortInUse
                    } else {
                        Start::Ended(why)
                    });
                }
                entry.address
            };
            if TcpStream::connect(address).await.is_ok() {
                if let Some(entry) = self.state().entries.get_mut(&target) {
                    entry.has_served = true;
                }
                return Ok(Start::Serving);
            }
            ensure!(
                started.elapsed() < START_TIMEOUT,
                "{target} does not serve its metrics at {address} after {START_TIMEOUT:?}: see {}",
                self.log_path(target)
            );
            sleep(CHECK_INTERVAL).await;
        }
    }
}
