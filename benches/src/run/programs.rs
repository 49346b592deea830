//! The programs of a run by their names. Faults, measurements and the run itself use one registry at the same time.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use rustix::process::Signal;
use tokio::{sync::broadcast, task::JoinSet, time::sleep};

use super::{
    program_event::{ProgramChange, ProgramEvent},
    registry::{ProgramState, State},
    setup::{ProducerSetup, ProgramSetup},
};
use crate::{fault::Target, process::Program};

/// How often the programs are checked for an end, and a wait for its condition.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// Longer than the deadlines of the programs' own stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(40);
/// Events that a slow receiver may leave unread.
const EVENTS_KEPT: usize = 1_024;

/// The programs of a run. Clones share them. Those that still run are stopped when the last clone is dropped.
#[derive(Clone)]
pub struct Programs {
    pub(super) registry: Arc<Registry>,
}

pub(super) struct Registry {
    pub setup: ProgramSetup,
    state: Arc<Mutex<State>>,
    pub events: broadcast::Sender<ProgramEvent>,
}

impl Programs {
    /// An empty registry. It needs a tokio runtime, on which it watches the programs.
    pub fn new(setup: ProgramSetup) -> Self {
        let (state, events) = (Arc::<Mutex<State>>::default(), broadcast::Sender::new(EVENTS_KEPT));
        let (watched, sender) = (Arc::downgrade(&state), events.clone());
        tokio::spawn(async move {
            while let Some(state) = watched.upgrade() {
                locked(&state).note_ends(&sender);
                drop(state);
                sleep(CHECK_INTERVAL).await;
            }
        });
        Self { registry: Arc::new(Registry { setup, state, events }) }
    }

    pub fn setup(&self) -> &ProgramSetup {
        &self.registry.setup
    }

    /// Sets the schedule of the producers; [`Self::start`] needs it for them.
    pub fn set_producers(&self, producers: ProducerSetup) {
        self.state().producers = Some(producers);
    }

    /// Sets environment variables of a program from its next start on, in addition to those of the setup.
    pub fn set_environment(&self, target: Target, environment: Vec<(String, String)>) {
        self.state().environments.insert(target, environment);
    }

    /// All programs that were started at least once.
    pub fn list(&self) -> Vec<ProgramState> {
        let mut state = self.state();
        state.note_ends(&self.registry.events);
        state.entries.iter().map(|(target, entry)| entry.state(*target)).collect()
    }

    /// A program that was started at least once.
    pub fn get(&self, target: Target) -> Option<ProgramState> {
        self.list().into_iter().find(|program| program.target == target)
    }

    /// Events from now on.
    pub fn events(&self) -> broadcast::Receiver<ProgramEvent> {
        self.registry.events.subscribe()
    }

    /// Events until now.
    pub fn history(&self) -> Vec<ProgramEvent> {
        self.state().history.clone()
    }

    /// Sends SIGKILL and waits for the end.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill(&self, target: Target) -> anyhow::Result<()> {
        self.tell(target, ProgramChange::Killed, |program| program.signal(Signal::KILL))?;
        self.wait_for_end(target).await
    }

    /// Sends SIGTERM and waits for the end. A paused program is resumed first.
    ///
    /// # Errors
    /// When it does not run, does not end in time and is killed, or ends with an exit code other than 0 (a producer
    /// that is stopped: 0 or 3).
    pub async fn stop(&self, target: Target) -> anyhow::Result<()> {
        self.request_stop(target)?;
        self.wait_for_end(target).await
    }

    /// Sends SIGSTOP.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn pause(&self, target: Target) -> anyhow::Result<()> {
        self.suspend(target, true)
    }

    /// Sends SIGCONT.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn resume(&self, target: Target) -> anyhow::Result<()> {
        self.suspend(target, false)
    }

    /// Stops a program and starts it again.
    ///
    /// # Errors
    /// Those of [`Self::stop`] and [`Self::start`].
    pub async fn restart(&self, target: Target) -> anyhow::Result<()> {
        self.stop(target).await?;
        self.start(target).await
    }

    /// Starts or stops consumers until `number` of them are there: `consumer-1` to `consumer-NUMBER`. One that was
    /// killed is not started. It may be repeated after an error.
    ///
    /// # Errors
    /// The first error of a stop, or else of a start. All are tried.
    pub async fn scale_consumers(&self, number: u16) -> anyhow::Result<()> {
        let (mut starting, mut stopping) = (Vec::new(), Vec::new());
        {
            let mut state = self.state();
            for target in (1..=number).map(Target::Consumer) {
                if state.entries.get_mut(&target).is_none_or(|entry| std::mem::take(&mut entry.is_scaled_down)) {
                    starting.push(target);
                }
            }
            for (target, entry) in &mut state.entries {
                if matches!(target, Target::Consumer(consumer) if *consumer > number) && !entry.is_scaled_down {
                    entry.is_scaled_down = true;
                    stopping.extend(entry.program.is_some().then_some(*target));
                }
            }
        }
        let stopped = self.each(stopping, |programs, target| async move { programs.stop(target).await }).await;
        let started = self.start_all(starting.iter().copied()).await;
        // So that a repetition starts those that could not be started.
        for target in starting {
            if let Some(entry) = self.state().entries.get_mut(&target) {
                entry.is_scaled_down = entry.program.is_none();
            }
        }
        stopped.and(started)
    }

    /// Stops all programs that run, at the same time, each with one SIGTERM.
    ///
    /// # Errors
    /// The first error of [`Self::stop`]; a consumer whose counts do not balance is one.
    pub async fn stop_all(&self) -> anyhow::Result<()> {
        self.stop_running(|_| true).await
    }

    /// As [`Self::stop_all`], only those that are `selected`.
    ///
    /// # Errors
    /// As [`Self::stop_all`].
    pub async fn stop_running(&self, selected: impl Fn(Target) -> bool) -> anyhow::Result<()> {
        let running = self.list().into_iter().filter(|program| program.is_running && selected(program.target));
        let targets = running.map(|program| program.target);
        self.each(targets, |programs, target| async move { programs.stop(target).await }).await
    }

    /// Where the log of a program is.
    pub fn log_path(&self, target: Target) -> String {
        self.registry.setup.logs().join(format!("{target}.log")).display().to_string()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.registry.state)
    }

    /// Sends a signal that ends the program.
    fn tell(
        &self,
        target: Target,
        end: ProgramChange,
        send: impl FnOnce(&Program) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut state = self.state();
        state.note_ends(&self.registry.events);
        let (entry, program) = state.running(target)?;
        if *entry.paused && end == ProgramChange::Stopped {
            program.signal(Signal::CONT)?;
            *entry.paused = false;
        }
        send(program)?;
        *entry.told = Some(end);
        Ok(())
    }

    fn request_stop(&self, target: Target) -> anyhow::Result<()> {
        self.tell(target, ProgramChange::Stopped, Program::request_stop)
    }

    fn suspend(&self, target: Target, pause: bool) -> anyhow::Result<()> {
        let mut state = self.state();
        state.note_ends(&self.registry.events);
        let (entry, program) = state.running(target)?;
        program.signal(if pause { Signal::STOP } else { Signal::CONT })?;
        *entry.paused = pause;
        let change = if pause { ProgramChange::Paused } else { ProgramChange::Resumed };
        state.note(ProgramEvent::now(target, change), &self.registry.events);
        Ok(())
    }

    async fn wait_for_end(&self, target: Target) -> anyhow::Result<()> {
        let started = Instant::now();
        while !self.has_ended(target, started)? {
            sleep(CHECK_INTERVAL / 4).await;
        }
        Ok(())
    }

    /// Whether a program that was told to end has ended.
    fn has_ended(&self, target: Target, told_at: Instant) -> anyhow::Result<bool> {
        let mut state = self.state();
        state.note_ends(&self.registry.events);
        let entry = state.entries.get(&target).with_context(|| format!("{target} was never started"))?;
        let Some(program) = &entry.program else {
            ensure!(
                entry.told != Some(ProgramChange::Stopped) || entry.ended_well(target),
                "{target} failed when it was stopped: see {}",
                self.log_path(target)
            );
            return Ok(true);
        };
        if told_at.elapsed() > STOP_TIMEOUT {
            program.signal(Signal::KILL)?;
            bail!("{target} did not end within {STOP_TIMEOUT:?} and was killed: see {}", self.log_path(target));
        }
        Ok(false)
    }

    pub(super) async fn each<Done: Future<Output = anyhow::Result<()>> + Send + 'static>(
        &self,
        targets: impl IntoIterator<Item = Target>,
        act: impl Fn(Self, Target) -> Done,
    ) -> anyhow::Result<()> {
        let mut acting = JoinSet::new();
        for target in targets {
            acting.spawn(act(self.clone(), target));
        }
        let results = acting.join_all().await;
        results.into_iter().collect()
    }
}

impl Drop for Registry {
    /// Sends all stop signals before the first program is waited for, so that they stop in parallel.
    fn drop(&mut self) {
        let entries = std::mem::take(&mut locked(&self.state).entries);
        let programs: Vec<Program> = entries.into_values().filter_map(|entry| entry.program).collect();
        for program in &programs {
            let _ = program.signal(Signal::CONT);
            let _ = program.request_stop();
        }
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
