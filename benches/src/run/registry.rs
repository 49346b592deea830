//! The state of each program of a run: whether it runs, what it was told, how it ended.

use std::{collections::BTreeMap, net::SocketAddr, process::ExitStatus};

use anyhow::Context;
use tokio::sync::broadcast;

use super::{
    program_event::{ProgramChange, ProgramEvent},
    setup::ProducerSetup,
};
use crate::{fault::Target, measure::SampledProgram, process::Program};

/// A program that was started at least once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramState {
    pub target: Target,
    /// `None` while it does not run.
    pub pid: Option<u32>,
    /// Where it serves `/metrics` and `/readyz`. It changes only when the port is in use at a later start.
    pub address: SocketAddr,
    pub is_running: bool,
    pub is_paused: bool,
    /// How often it was started: its counters begin at 0 with each start.
    pub starts: u32,
    /// Exit code of the last end; `None` while it runs, and after a signal.
    pub exit_code: Option<i32>,
}

impl ProgramState {
    /// The program as a sampler has to know it.
    pub fn sampled(&self) -> SampledProgram {
        let Self { target, pid, address, is_paused, starts, .. } = *self;
        SampledProgram { target, pid, address, is_paused, starts }
    }
}

#[derive(Default)]
pub(super) struct State {
    pub entries: BTreeMap<Target, Entry>,
    pub producers: Option<ProducerSetup>,
    /// Further environment variables by program, for its next start.
    pub environments: BTreeMap<Target, Vec<(String, String)>>,
    pub history: Vec<ProgramEvent>,
}

pub(super) struct Entry {
    /// `None` while it does not run.
    pub program: Option<Program>,
    pub address: SocketAddr,
    pub starts: u32,
    is_paused: bool,
    /// Whether it has served its metrics since the last start.
    pub has_served: bool,
    /// The end that it was told, since the last start.
    pub told: Option<ProgramChange>,
    ended: Option<ExitStatus>,
    /// Stopped by a lower number of consumers, so that a higher one starts it again.
    pub is_scaled_down: bool,
}

/// The parts of an [`Entry`] that a signal to its program changes.
pub(super) struct Signalled<'a> {
    pub paused: &'a mut bool,
    pub told: &'a mut Option<ProgramChange>,
}

impl State {
    pub fn running(&mut self, target: Target) -> anyhow::Result<(Signalled<'_>, &Program)> {
        let entry = self.entries.get_mut(&target).with_context(|| format!("{target} was never started"))?;
        let program = entry.program.as_ref().with_context(|| format!("{target} does not run"))?;
        Ok((Signalled { paused: &mut entry.is_paused, told: &mut entry.told }, program))
    }

    pub fn note(&mut self, event: ProgramEvent, events: &broadcast::Sender<ProgramEvent>) {
        self.history.push(event.clone());
        // Without a receiver, the history has it.
        let _ = events.send(event);
    }

    pub fn note_ends(&mut self, events: &broadcast::Sender<ProgramEvent>) {
        let ends: Vec<ProgramEvent> =
            self.entries.iter_mut().filter_map(|(target, entry)| entry.take_end(*target)).collect();
        for event in ends {
            self.note(event, events);
        }
    }
}

impl Entry {
    pub fn started(program: Program, address: SocketAddr, starts: u32) -> Self {
        Self {
            program: Some(program),
            address,
            starts,
            is_paused: false,
            has_served: false,
            told: None,
            ended: None,
            is_scaled_down: false,
        }
    }

    /// The event of a program that has ended since the last call.
    fn take_end(&mut self, target: Target) -> Option<ProgramEvent> {
        let program = self.program.as_mut()?;
        let status = program.try_wait().ok().flatten()?;
        let log = program.log_tail();
        let why = || format!("{status}: {}", log.lines().next_back().unwrap_or("its log is empty"));
        self.ended = Some(status);
        let change = match &self.told {
            Some(told) => told.clone(),
            None if matches!(target, Target::Producer(_)) && ended_well(target, status) => ProgramChange::Finished,
            None if self.has_served => ProgramChange::EndedUnexpectedly(why()),
            None => ProgramChange::DidNotStart(why()),
        };
        self.program = None;
        self.is_paused = false;
        Some(ProgramEvent::now(target, change))
    }

    /// Whether the last end was one without a failure. A producer that is stopped, or whose run is not valid, exits
    /// with 3.
    pub fn ended_well(&self, target: Target) -> bool {
        self.ended.is_some_and(|status| ended_well(target, status))
    }

    pub fn state(&self, target: Target) -> ProgramState {
        ProgramState {
            target,
            pid: self.program.as_ref().map(Program::pid),
            address: self.address,
            is_running: self.program.is_some(),
            is_paused: self.is_paused,
            starts: self.starts,
            exit_code: self.ended.and_then(|status| status.code()),
        }
    }
}

fn ended_well(target: Target, status: ExitStatus) -> bool {
    status.success() || (matches!(target, Target::Producer(_)) && status.code() == Some(3))
}
