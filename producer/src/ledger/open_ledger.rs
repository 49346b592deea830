//! Opens the ledger of a run: decides when the first order is due, and creates the files of the run's folder.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use chrono::{DateTime, Utc};
use shared::{
    latency::LatencyLog,
    ledger::{Journal, JournalContents, Run, RunId},
};

use crate::{
    clock::RunClock,
    sample::{Samples, Source},
    settings::{Command, LoadSettings, RunPlan},
};

/// Time between the decision to start and the first due order, in which the threads are started.
const START_DELAY: Duration = Duration::from_millis(200);

/// The open ledger of a run.
pub struct RunLedger {
    pub run: Run,
    pub clock: RunClock,
    pub journal: Journal,
    pub latency_log: LatencyLog,
    /// What the journal has of the killed producer; `None` for a run that begins.
    pub earlier: Option<JournalContents>,
}

/// Creates the ledger. A slow disk delays the start, unless `--start-at` sets it.
///
/// # Errors
/// When `--start-at` is invalid, the run exists already, or its files can't be written.
pub fn open_ledger(command: &Command, plan: &RunPlan, samples: &Samples) -> anyhow::Result<RunLedger> {
    let mut clock = run_clock(&command.load)?;
    // Random for a run with a name as well: a name that is used again, with other settings or in another folder, must
    // not have the tag of the first run.
    let tag = command.run.shard().random_tag();
    let mut run = Run {
        run_id: command.run.run_id.clone().unwrap_or_else(|| RunId::new(clock.started_at, tag)),
        shard: command.run.shard(),
        tag,
        started_at: clock.started_at,
        topic: command.topic.topic.clone(),
        backdated: command.load.backdate,
        settings: command.for_record(plan.seed, &plan.source, plan.lifecycle.as_ref()),
    };
    let journal = command.run.runs.create(&run)?;
    let start_is_fixed = command.load.start_at.is_some() && !command.load.backdate;
    while !start_is_fixed && clock.start < Instant::now() + START_DELAY / 2 {
        clock = run_clock(&command.load)?;
        run.started_at = clock.started_at;
        command.run.runs.describe(&run)?;
    }
    // A later run can read the snapshot with --catalog.
    if let (Source::RedisSnapshot { .. }, Samples::Catalog(catalog)) = (&plan.source, samples) {
        catalog.write(&command.run.runs.shard_folder(&run.run_id, run.shard).join("catalog.jsonl"))?;
    }
    let latency_log = open_latency_log(command, &run)?;
    Ok(RunLedger { run, clock, journal, latency_log, earlier: None })
}

/// The clock of a run whose first order is due at `--start-at`, or as soon as the threads are started.
fn run_clock(load: &LoadSettings) -> anyhow::Result<RunClock> {
    let (now, instant) = (Utc::now(), Instant::now());
    let soon = RunClock { start: instant + START_DELAY, started_at: now + START_DELAY };
    let Some(at) = load.start_at else { return Ok(soon) };
    ensure!(
        at >= DateTime::UNIX_EPOCH && at.timestamp_nanos_opt().is_some(),
        "--start-at {at} must be between 1970 and 2262, the times that an order id can have"
    );
    if load.backdate {
        ensure!(at < now, "--start-at {at} is in the future: without --backdate the run starts at that time");
        return Ok(RunClock { started_at: at, ..soon });
    }
    let wait = (at - now).to_std().ok().filter(|wait| *wait >= START_DELAY);
    let wait = wait.with_context(|| {
        format!("--start-at {at} must be at least {START_DELAY:?} in the future; --backdate allows a start in the past")
    })?;
    Ok(RunClock { start: instant + wait, started_at: at })
}

pub fn open_latency_log(command: &Command, run: &Run) -> anyhow::Result<LatencyLog> {
    let ledger_folder = || command.run.runs.shard_folder(&run.run_id, run.shard);
    let folder = command.run.stats_dir.clone().unwrap_or_else(ledger_folder);
    let name = format!("producer-{}-{}", run.run_id, run.tag);
    let failed = || format!("the latency log in {} can't be written", folder.display());
    LatencyLog::open(&folder, &name).with_context(failed)
}
