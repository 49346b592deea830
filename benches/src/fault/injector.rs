//! Begins each fault of a scenario at its time, and undoes it after its duration.
//!
//! A run with faults:
//! 1. [`Preparation::start`](super::preparation::Preparation::start), before the programs start. Each program gets
//!    `Preparation::environment(target)` (by `Programs::set_environment`), the producers the folder
//!    `Preparation::ledgers()` for their ledgers where it is there.
//! 2. [`Injector::new`] with the programs, the stack and the preparation; [`Injector::run`] with the time of the first
//!    order. It returns after the last fault, or once all are undone after a stop.
//! 3. The programs are stopped, then the injector is dropped. That moves the ledgers to their place, so the audit comes
//!    after it.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use tokio::time::{sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    breaker::{Begun, Breaker},
    event::{FaultChange, FaultEvent},
    in_force::{InForce, is_of_program},
    model::{Fault, FaultRecord, Target},
};
use crate::{interruptible::run_blocking, run::registry::ProgramState, scenario::TimedFault};

/// Longer than two starts of a broker.
const UNDO_TIMEOUT: Duration = Duration::from_secs(180);

/// Called with each beginning and end, on a thread of the injector.
pub type Observer = Box<dyn Fn(FaultEvent) + Send + Sync>;

/// Breaks what a run consists of.
pub struct Injector {
    injection: Arc<Injection>,
}

struct Injection {
    breaker: Breaker,
    in_force: InForce,
    observer: Observer,
    /// To which number the consumers return.
    consumers: AtomicU16,
}

impl Injector {
    pub fn new(breaker: Breaker, observer: Observer) -> Self {
        let in_force = InForce::new(breaker.several_brokers_down);
        Self { injection: Arc::new(Injection { breaker, in_force, observer, consumers: AtomicU16::new(0) }) }
    }

    /// The folder for the ledgers of the producers, where it is not that of all run ledgers.
    pub fn ledgers(&self) -> Option<PathBuf> {
        self.injection.breaker.preparation.ledgers()
    }

    /// Runs all faults, each at its time after `start`, which may lie ahead. Returns a record of each that began or was
    /// refused, by its beginning.
    ///
    /// When `stop` is cancelled, no further fault begins, and this returns once all are undone. When the future is
    /// dropped, the drop waits for the same.
    ///
    /// # Errors
    /// When no runtime can be started. A fault that fails has its error in its record.
    pub async fn run(
        &self,
        faults: &[TimedFault],
        start: Instant,
        stop: &CancellationToken,
    ) -> anyhow::Result<Vec<FaultRecord>> {
        let (injection, faults, stop) = (self.injection.clone(), faults.to_vec(), stop.child_token());
        let stopping = stop.clone();
        // On a runtime of its own, which still works while the one of the caller waits in a drop.
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.context("the runtime of the faults can't be started")?;
            Ok(runtime.block_on(injection.run(&faults, start, &stop)))
        };
        let undo = |ended: &Receiver<()>| {
            stopping.cancel();
            if ended.recv_timeout(UNDO_TIMEOUT) == Err(RecvTimeoutError::Timeout) {
                tracing::error!("the faults are not undone after {UNDO_TIMEOUT:?}: see deploy/stack status");
            }
        };
        run_blocking(work, undo).await?
    }
}

impl Injection {
    async fn run(&self, faults: &[TimedFault], start: Instant, stop: &CancellationToken) -> Vec<FaultRecord> {
        let programs = self.breaker.programs.list();
        let is_consumer = |program: &&ProgramState| matches!(program.target, Target::Consumer(_)) && program.is_running;
        self.consumers.store(programs.iter().filter(is_consumer).count() as u16, Ordering::Relaxed);
        let injected = join_all(faults.iter().map(|fault| self.inject(fault, start, stop))).await;
        let mut records: Vec<FaultRecord> = injected.into_iter().flatten().collect();
        records.sort_by_key(|record| record.began_at);
        records
    }

    /// The whole life of a fault. `None` when a stop came before it.
    async fn inject(&self, timed: &TimedFault, start: Instant, stop: &CancellationToken) -> Option<FaultRecord> {
        stop.run_until_cancelled(sleep_until((start + timed.at).into())).await?;
        let mut record = FaultRecord {
            fault: timed.fault.to_string(),
            planned_seconds: timed.at.as_secs_f64(),
            began_at: Utc::now(),
            ended_at: None,
            error: None,
            recovery: None,
        };
        let result = match self.begin(timed).await {
            Ok(begun) => {
                record.began_at = begun.at;
                record.error = begun.problem.clone();
                self.observe(begun.at, timed, FaultChange::Began { lasting: timed.lasting });
                self.end(timed, &begun, stop).await.map_err(|error| FaultChange::Stuck { error: format!("{error:#}") })
            }
            Err(error) => Err(FaultChange::Refused { error: format!("{error:#}") }),
        };
        match result {
            Ok(End::Stays) => {}
            Ok(End::Undone) => {
                let ended_at = Utc::now();
                record.ended_at = Some(ended_at);
                self.observe(ended_at, timed, FaultChange::Ended);
            }
            Err(change) => {
                record.error = change.error().map(str::to_owned);
                self.observe(Utc::now(), timed, change);
            }
        }
        Some(record)
    }

    async fn begin(&self, timed: &TimedFault) -> anyhow::Result<Begun> {
        self.in_force.enter(&timed.fault).await?;
        let begun = self.breaker.begin(&timed.fault, timed.lasting).await;
        if begun.is_err() {
            self.in_force.leave(&timed.fault);
        }
        begun
    }

    /// Waits for the end of a fault and undoes it.
    async fn end(&self, timed: &TimedFault, begun: &Begun, stop: &CancellationToken) -> anyhow::Result<End> {
        let fault = &timed.fault;
        let lasting = match (fault, timed.lasting) {
            (Fault::ScaleConsumers(number), None) => {
                self.consumers.store(*number, Ordering::Relaxed);
                self.in_force.leave(fault);
                return Ok(End::Stays);
            }
            (Fault::Kill(Target::Producer(_)), None) => {
                self.in_force.leave(fault);
                return Ok(End::Stays);
            }
            _ if !fault.has_duration() => Duration::ZERO,
            // Until the run is stopped.
            (_, None) => Duration::MAX,
            (_, Some(lasting)) => lasting,
        };
        let was_stopped = stop.run_until_cancelled(sleep(lasting)).await.is_none();
        if was_stopped && matches!(fault, Fault::Kill(Target::Producer(_))) {
            // The load has ended, so it would have nothing to send.
            self.in_force.leave(fault);
            return Ok(End::Stays);
        }
        self.in_force.set_ending(fault);
        if was_stopped && is_of_program(fault) {
            self.in_force.wait_for_servers().await;
        }
        let mut undone = self.undo(fault, begun).await;
        if let Err(error) = &undone {
            tracing::warn!("{fault} is not undone, and is tried again: {error:#}");
            undone = self.undo(fault, begun).await;
        }
        match undone {
            Ok(()) => self.in_force.leave(fault),
            Err(_) => self.in_force.set_stuck(fault),
        }
        undone.map(|()| End::Undone)
    }

    async fn undo(&self, fault: &Fault, begun: &Begun) -> anyhow::Result<()> {
        self.breaker.undo(fault, begun, self.consumers.load(Ordering::Relaxed)).await
    }

    fn observe(&self, at: DateTime<Utc>, timed: &TimedFault, change: FaultChange) {
        (self.observer)(FaultEvent { at, fault: timed.fault.to_string(), change });
    }
}

enum End {
    Undone,
    /// It has nothing that is undone.
    Stays,
}
