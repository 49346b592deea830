//! Runs one probe: the producer at one rate, and what is measured meanwhile.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail};
use chrono::{DateTime, Utc};
use shared::{
    latency::Stage,
    ledger::{RunId, RunsFolder},
    requirement::{MeasuredBy, Requirement},
};
use tokio::time::{sleep, timeout_at};

use super::{
    figures::{Backlog, CpuByKind, ProbeEnd, ProbeFigures},
    machine_cpu::MachineCpu,
    overload::OverloadWatch,
    search::Probe,
};
use crate::{
    fault::Target,
    measure::{
        ACK, LagSource, PhaseTime, RunLatencies, RunTags, STORED, Sample, Sampler, SamplerSettings, Schedule,
        processes, total_lag,
    },
    run::{Drained, ProducerSetup, ProgramState, Programs, drain},
};

const PRODUCER: Target = Target::Producer(1);
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);
/// Time for the producer to connect, before the first due time.
const START_DELAY: Duration = Duration::from_secs(2);
const CHECK_INTERVAL: Duration = Duration::from_millis(250);
/// The consumers append to their latency logs each second.
const LOG_TIMEOUT: Duration = Duration::from_secs(5);
/// The least time for the consumers to store what is left at the end of the search.
const LAST_DRAIN: Duration = Duration::from_secs(5);
/// The share of a probe that is not judged.
const WARM_UP_SHARE: u32 = 6;

/// What all probes share: the programs keep running between them.
pub struct Prober {
    pub programs: Programs,
    pub lag: LagSource,
    pub runs: RunsFolder,
    /// Folder of the stack whose servers are measured.
    pub stack_folder: Option<PathBuf>,
    pub requirements: Vec<Requirement>,
    /// Cores of this machine.
    pub cores: usize,
    /// The search ends then.
    pub deadline: Instant,
}

/// A probe that has begun.
struct Running {
    probe: Probe,
    run_id: RunId,
    /// Due time of the first order.
    start: DateTime<Utc>,
    warm_up: Duration,
    length: Duration,
}

/// How the load of a probe ended.
struct Load {
    /// Orders that were due and not stored, when the schedule was stopped for them.
    backlog: Option<Backlog>,
    /// Cores in use since the warm-up.
    machine_cores: Option<f64>,
    is_drained: bool,
    ended: DateTime<Utc>,
}

impl Prober {
    /// Sends at the rate of `probe` for `length`, and waits until all is stored.
    ///
    /// # Errors
    /// When a program fails, or a service does not answer.
    pub async fn run(&self, probe: Probe, length: Duration, run_id: RunId) -> anyhow::Result<ProbeFigures> {
        let (start, warm_up) = (ProducerSetup::start_after(START_DELAY), length / WARM_UP_SHARE);
        let running = Running { probe, run_id, start, warm_up, length };
        tokio::select! {
            figures = self.measure(&running) => figures,
            error = self.program_end() => Err(error),
        }
    }

    async fn measure(&self, running: &Running) -> anyhow::Result<ProbeFigures> {
        self.programs.set_producers(self.producer(running));
        self.programs.start(PRODUCER).await?;
        let sampler = Sampler::start(self.sampler_settings(running))?;
        let load = self.wait_for_end(running, &sampler).await?;
        let samples = sampler.stop().await?;
        let ledgers = self.runs.read(&running.run_id)?;
        let summary = ledgers.into_iter().find_map(|ledger| ledger.summary);
        let summary = summary
            .with_context(|| format!("the producer left no summary: see {}", self.programs.log_path(PRODUCER)))?;
        let acknowledged = summary.counts.acknowledged + summary.warm_up.acknowledged;
        let schedule = running.schedule(load.ended);
        let latencies = self.latencies(running, &schedule, acknowledged).await?;
        let median = |stage: Stage| {
            let stage = stage.name();
            Some((stage, latencies.measured(&schedule, stage).at_quantile(0.5)?))
        };
        let is_steady = |sample: &&Arc<Sample>| {
            (schedule.measured_start()..=schedule.load_end()).contains(&sample.seconds) && !sample.lag.is_empty()
        };
        let steady: Vec<&Arc<Sample>> = samples.iter().filter(is_steady).collect();
        // A sample that is taken after the end has seconds in which the producer did not run.
        let processes = processes(&running.schedule(load.ended - SAMPLE_INTERVAL), &samples);
        Ok(ProbeFigures {
            probe: running.probe,
            seconds: (schedule.load_end() - schedule.measured_start()).max(0.0),
            summary,
            ack: latencies.measured(&schedule, ACK).summary(),
            stored: latencies.measured(&schedule, STORED),
            stages: Stage::ALL.into_iter().filter_map(median).collect(),
            lag: steady.iter().map(|sample| (sample.seconds, total_lag(sample) as f64)).collect(),
            max_in_flight: steady.iter().map(|sample| sample.in_flight).max().unwrap_or(0),
            missing: acknowledged.saturating_sub(latencies.count(STORED)),
            end: match (load.is_drained, load.backlog) {
                (false, _) => ProbeEnd::NotDrained,
                (true, Some(_)) => ProbeEnd::Overloaded,
                (true, None) => ProbeEnd::Complete,
            },
            backlog: load.backlog,
            cpu: samples.last().map(|sample| CpuByKind::new(&processes, sample)).unwrap_or_default(),
            machine_cores: load.machine_cores,
            processes,
        })
    }

    fn producer(&self, running: &Running) -> ProducerSetup {
        let duration = |duration: Duration| humantime::format_duration(duration).to_string();
        let mut arguments = vec![
            ("--rate", running.probe.rate.to_string()),
            ("--warm-up", duration(running.warm_up)),
            ("--duration", duration(running.length - running.warm_up)),
        ];
        let of_producer = self.requirements.iter().filter(|it| it.measured_by() == MeasuredBy::Producer);
        arguments.extend(of_producer.map(|requirement| ("--require", requirement.to_string())));
        let arguments = arguments.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
        let (run_id, runs) = (running.run_id.clone(), self.runs.clone());
        ProducerSetup { run_id, runs, shards: 1, start_at: running.start, arguments }
    }

    fn sampler_settings(&self, running: &Running) -> SamplerSettings {
        let (programs, rate, length) = (self.programs.clone(), running.probe.rate, running.length.as_secs_f64());
        SamplerSettings {
            run_id: running.run_id.clone(),
            runs: self.runs.clone(),
            stats: self.programs.setup().stats_dir(),
            first_due: running.start,
            asked_rate: Box::new(move |second| if (0.0..length).contains(&second) { rate } else { 0.0 }),
            programs: Box::new(move || programs.list().iter().map(ProgramState::sampled).collect()),
            lag: self.lag.clone(),
            stack: self.stack_folder.clone(),
        }
    }

    /// Waits until the producer has ended and everything is stored.
    async fn wait_for_end(&self, running: &Running, sampler: &Sampler) -> anyhow::Result<Load> {
        let (backlog, machine_cores) = self.wait_for_producer(running, sampler).await;
        let ended = Utc::now().min(running.start + running.length);
        let until = self.deadline.max(Instant::now() + LAST_DRAIN);
        let is_drained = match timeout_at(until.into(), drain(&self.lag)).await {
            Ok(drained) => match drained? {
                Drained::All => true,
                Drained::Stuck { lag } => bail!(
                    "the consumers stopped reading: the lag of group {} stays at {lag} records for a minute; see their \
                     logs in {}",
                    self.lag.group,
                    self.programs.setup().logs().display()
                ),
            },
            Err(_) => false,
        };
        Ok(Load { backlog, machine_cores, is_drained, ended })
    }

    /// Waits for the end of the schedule. When the pipeline is overloaded, stops the producer and returns the backlog.
    /// Also returns the cores of the machine in use since the warm-up.
    async fn wait_for_producer(&self, running: &Running, sampler: &Sampler) -> (Option<Backlog>, Option<f64>) {
        let mut watch = OverloadWatch::new(running.probe.rate, running.length.as_secs_f64());
        let mut since = None;
        let machine_cores = |since: Option<MachineCpu>| MachineCpu::now()?.cores_since(&since?, self.cores);
        while self.programs.get(PRODUCER).is_some_and(|producer| producer.is_running) {
            if since.is_none() && Utc::now() >= running.start + running.warm_up {
                since = MachineCpu::now();
            }
            if let Some(backlog) = sampler.latest().and_then(|sample| watch.add(&sample)) {
                let machine_cores = machine_cores(since);
                // One that has ended in this moment, or does not end well, is known by its summary.
                if let Err(error) = self.programs.stop(PRODUCER).await {
                    tracing::debug!("{error:#}");
                }
                return (Some(backlog), machine_cores);
            }
            sleep(CHECK_INTERVAL).await;
        }
        (None, machine_cores(since))
    }

    /// Waits until the latency logs have all `acknowledged` orders, or for some seconds.
    async fn latencies(
        &self,
        running: &Running,
        schedule: &Schedule,
        acknowledged: u64,
    ) -> anyhow::Result<RunLatencies> {
        let deadline = Instant::now() + LOG_TIMEOUT;
        loop {
            let tags = RunTags::new(running.run_id.clone(), self.runs.clone());
            let latencies = RunLatencies::read(&self.programs.setup().stats_dir(), tags, schedule);
            // While a log is written, its last line may be incomplete.
            let is_complete = latencies.damage.is_none() && latencies.count(STORED) >= acknowledged;
            match &latencies.damage {
                _ if is_complete => return Ok(latencies),
                Some(damage) if Instant::now() > deadline => bail!("{damage}"),
                None if Instant::now() > deadline => return Ok(latencies),
                _ => sleep(CHECK_INTERVAL).await,
            }
        }
    }

    /// Returns when a program other than the producer has ended.
    async fn program_end(&self) -> anyhow::Error {
        loop {
            let programs = self.programs.list();
            if let Some(ended) = programs.iter().find(|program| !program.is_running && program.target != PRODUCER) {
                let log = self.programs.log_path(ended.target);
                return anyhow!("{} ended during the search: see {log}", ended.target);
            }
            sleep(CHECK_INTERVAL).await;
        }
    }
}

impl Running {
    /// The schedule of a probe whose load `ended`.
    fn schedule(&self, ended: DateTime<Utc>) -> Schedule {
        let (warm_up, ended) = (self.warm_up.as_secs_f64(), (ended - self.start).as_seconds_f64());
        let phase = |name: &str, start, end, measured| PhaseTime {
            name: name.to_owned(),
            start,
            end,
            measured,
            asked_rate: self.probe.rate,
        };
        let phases = vec![phase("warm-up", 0.0, warm_up, false), phase("steady", warm_up, ended.max(warm_up), true)];
        Schedule { first_due: self.start, phases }
    }
}
