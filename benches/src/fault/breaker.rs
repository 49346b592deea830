//! Begins and undoes each kind of fault.

use std::time::Duration;

use anyhow::{Context, ensure};
use chrono::{DateTime, Utc};
use shared::database::DatabaseSettings;

use super::{
    clock::Clocks,
    disk::LedgerDisk,
    in_force::broker_of,
    links::Links,
    model::{Fault, Target},
    preparation::Preparation,
    stack::{ServiceState, Stack},
    table_lock::TableLock,
};
use crate::run::{programs::Programs, registry::ProgramState};

/// What a run consists of, and what its faults need.
pub struct Breaker {
    pub programs: Programs,
    /// `None` when the services of the run are not those of a stack; then no server and no link can be broken.
    pub stack: Option<Stack>,
    /// The database of the run, without a proxy.
    pub database: DatabaseSettings,
    pub preparation: Preparation,
    /// Whether more than one broker may be down at a time.
    pub several_brokers_down: bool,
}

/// A fault that has begun.
pub(super) struct Begun {
    /// When it had taken effect.
    pub at: DateTime<Utc>,
    /// It has begun, but something failed, such as a consumer that was to stop.
    pub problem: Option<String>,
    lock: Option<TableLock>,
}

impl Begun {
    fn at(at: DateTime<Utc>) -> Self {
        Self { at, problem: None, lock: None }
    }
}

impl Breaker {
    /// Begins a fault, and returns once it has taken effect. `lasting` is its planned duration.
    ///
    /// # Errors
    /// When it did not begin. Nothing has to be undone then.
    pub(super) async fn begin(&self, fault: &Fault, lasting: Option<Duration>) -> anyhow::Result<Begun> {
        if broker_of(fault).is_some() && !self.several_brokers_down {
            self.ensure_other_brokers_run(fault).await?;
        }
        let requested = Utc::now();
        match fault {
            Fault::Kill(target) => self.kill(*target).await?,
            // A server or program begins to leave when it is told to.
            Fault::Stop(target) | Fault::Restart(target) => {
                return Ok(Begun { problem: self.stop(*target).await?, ..Begun::at(requested) });
            }
            Fault::Pause(target) => self.pause(*target).await?,
            Fault::KillBackend => drop(self.stack()?.run(&["kill", "postgres", "--backend"]).await?),
            // So does a consumer, which begins a rebalance.
            Fault::ScaleConsumers(number) => {
                let problem = self.programs.scale_consumers(*number).await.err().map(|error| format!("{error:#}"));
                return Ok(Begun { problem, ..Begun::at(requested) });
            }
            Fault::SlowLink { target, delay } => self.links()?.slow(*target, *delay).await?,
            Fault::CutLink(target) | Fault::ResetLink(target) => self.links()?.cut(*target).await?,
            Fault::BlackHoleLink(target) => self.links()?.black_hole(*target).await?,
            Fault::FillDisk => self.disk()?.fill()?,
            Fault::SkewClock { target, offset_ms } => self.clocks()?.set(*target, *offset_ms).await?,
            Fault::LockTable { table } => {
                let lock = Some(TableLock::acquire(&self.database, table, lasting).await?);
                return Ok(Begun { lock, ..Begun::at(Utc::now()) });
            }
        }
        Ok(Begun::at(Utc::now()))
    }

    /// Undoes a fault, and returns once what was broken is ready again. It may be repeated after an error. `consumers`
    /// is the number to which they return after another one.
    pub(super) async fn undo(&self, fault: &Fault, begun: &Begun, consumers: u16) -> anyhow::Result<()> {
        match fault {
            Fault::Kill(target) | Fault::Stop(target) | Fault::Restart(target) => self.start(*target).await,
            Fault::Pause(target) => self.resume(*target).await,
            Fault::KillBackend => self.start(Target::Postgres).await,
            Fault::ScaleConsumers(_) => self.programs.scale_consumers(consumers).await,
            Fault::SlowLink { target, delay } => self.links()?.end_slow(*target, *delay).await,
            Fault::CutLink(target) | Fault::ResetLink(target) => self.links()?.end_cut(*target).await,
            Fault::BlackHoleLink(target) => self.links()?.end_black_hole(*target).await,
            Fault::FillDisk => self.disk()?.end_fill(),
            Fault::SkewClock { target, .. } => self.clocks()?.set(*target, 0).await,
            Fault::LockTable { .. } => match &begun.lock {
                Some(lock) => lock.release().await,
                None => Ok(()),
            },
        }
    }

    /// A broker may be down for another reason than a fault of this run.
    async fn ensure_other_brokers_run(&self, fault: &Fault) -> anyhow::Result<()> {
        let services = self.stack()?.services().await?;
        let down = services.into_iter().find(|service| {
            matches!(service.target, Target::Broker(_))
                && Some(service.target) != broker_of(fault)
                && service.state != ServiceState::Running
        });
        let is_safe = down.is_none();
        let down = down.map(|service| service.target.to_string()).unwrap_or_default();
        ensure!(is_safe, "{down} does not run, and a write needs two of three replicas");
        Ok(())
    }

    async fn kill(&self, target: Target) -> anyhow::Result<()> {
        match target.is_server() {
            true => self.stack()?.run(&["kill", &target.to_string()]).await.map(drop),
            false => self.programs.kill(target).await,
        }
    }

    /// Returns why a program failed when it stopped.
    async fn stop(&self, target: Target) -> anyhow::Result<Option<String>> {
        if target.is_server() {
            return self.stack()?.run(&["stop", &target.to_string()]).await.map(|_| None);
        }
        let is_running = || self.programs.get(target).is_some_and(|program| program.is_running);
        ensure!(is_running(), "{target} does not run");
        match self.programs.stop(target).await {
            Err(error) if is_running() => Err(error),
            result => Ok(result.err().map(|error| format!("{error:#}"))),
        }
    }

    async fn pause(&self, target: Target) -> anyhow::Result<()> {
        match target.is_server() {
            true => self.stack()?.run(&["pause", &target.to_string()]).await.map(drop),
            false => self.programs.pause(target).await,
        }
    }

    async fn resume(&self, target: Target) -> anyhow::Result<()> {
        match target {
            target if target.is_server() => {
                self.stack()?.run(&["resume", &target.to_string()]).await?;
                self.start(target).await
            }
            // It may have nothing left to send.
            Target::Producer(_) => self.programs.resume(target).await,
            program => {
                self.programs.resume(program).await?;
                self.programs.wait_until_ready(program).await
            }
        }
    }

    /// Starts a server or program, and waits until it is ready. The script only waits when a server runs already.
    async fn start(&self, target: Target) -> anyhow::Result<()> {
        if target.is_server() {
            return self.stack()?.run(&["start", &target.to_string()]).await.map(drop);
        }
        let is_running = |program: ProgramState| program.is_running;
        let start = async {
            if !self.programs.get(target).is_some_and(is_running) {
                self.programs.start(target).await?;
            }
            self.programs.wait_until_ready(target).await
        };
        let started = start.await;
        match (target, self.programs.get(target)) {
            // It had nothing left to send.
            (Target::Producer(_), Some(ProgramState { is_running: false, exit_code: Some(0 | 3), .. })) => Ok(()),
            _ => started,
        }
    }

    fn stack(&self) -> anyhow::Result<&Stack> {
        self.stack.as_ref().context("the servers of the run are not those of a stack of deploy/stack")
    }

    fn links(&self) -> anyhow::Result<&Links> {
        self.preparation.links.as_ref().context("the proxies of the links are not prepared")
    }

    fn clocks(&self) -> anyhow::Result<&Clocks> {
        self.preparation.clocks.as_ref().context("no clock is prepared")
    }

    fn disk(&self) -> anyhow::Result<&LedgerDisk> {
        self.preparation.disk.as_ref().context("the small disk is not prepared")
    }
}
