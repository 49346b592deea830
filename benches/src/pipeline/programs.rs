//! The programs that run beside the producer: the cache-worker and the consumers.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, ensure};
use shared::{
    latency::{DUE_TO_COMMIT, merge_logs},
    order_id::RunTag,
};

use super::{
    assignment::Assignment,
    environment::environment,
    progress::{POLL_INTERVAL, PROGRESS_TIMEOUT, ProgressLog},
};
use crate::{
    metrics,
    process::{Program, free_address, kafka_config_arguments},
    settings::PipelineSettings,
};

/// Counts of all running consumers together.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConsumerCounts {
    /// Records read.
    pub consumed: u64,
    /// Rows inserted.
    pub stored: u64,
    /// Records whose order was in the table already.
    pub duplicates: u64,
}

/// The running programs, with the addresses of their metrics.
pub struct PipelinePrograms {
    cache_worker: Option<Program>,
    consumers: Vec<(Program, SocketAddr)>,
    /// Consumers started so far; numbers the next one.
    started: usize,
    environment: Vec<(String, String)>,
    kafka_config: Vec<String>,
    folder: PathBuf,
}

impl Drop for PipelinePrograms {
    /// Sends all stop signals before the first program is waited for, so that they stop in parallel.
    fn drop(&mut self) {
        for program in self.consumers.iter().map(|(consumer, _)| consumer).chain(&self.cache_worker) {
            let _ = program.request_stop();
        }
    }
}

impl PipelinePrograms {
    /// Starts the cache-worker, waits until the cache is filled, and starts the consumers.
    ///
    /// # Errors
    /// When a program can't be started, or the cache-worker ends or does not fill the cache in time.
    pub async fn start(settings: &PipelineSettings) -> anyhow::Result<Self> {
        let new_folder = || settings.runs.runs_dir.join(format!("pipeline-{}", RunTag::random()));
        let folder = settings.work_dir.clone().unwrap_or_else(new_folder);
        let environment = environment(settings);
        let cache_worker = start_cache_worker(&environment, &folder.join("logs")).await?;
        let mut programs = Self {
            cache_worker: Some(cache_worker),
            consumers: Vec::new(),
            started: 0,
            environment,
            kafka_config: kafka_config_arguments(&settings.services.kafka),
            folder,
        };
        (0..settings.consumers).try_for_each(|_| programs.add_consumer())?;
        Ok(programs)
    }

    /// Starts one more consumer.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn add_consumer(&mut self) -> anyhow::Result<()> {
        self.started += 1;
        let (name, address) = (format!("consumer-{}", self.started), free_address()?);
        let (listen, stats, logs) = (address.to_string(), self.stats_dir(), self.logs());
        let arguments = ["--listen", &listen, "--instance-name", &name, "--stats-dir"].map(Path::new);
        let arguments = arguments.into_iter().chain([stats.as_path()]).chain(self.kafka_config.iter().map(Path::new));
        let consumer = Program::start(&name, "consumer", arguments, &self.environment, &logs)?;
        self.consumers.push((consumer, address));
        Ok(())
    }

    /// A running consumer and the address of its metrics; 0 is the oldest one.
    pub fn consumer(&self, number: usize) -> (&Program, SocketAddr) {
        let (program, address) = &self.consumers[number];
        (program, *address)
    }

    /// Removes the oldest consumer and returns it, still running.
    pub fn take_consumer(&mut self) -> Program {
        self.consumers.remove(0).0
    }

    /// Folder of the programs' logs.
    pub fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    /// Folder of the consumers' latency logs.
    pub fn stats_dir(&self) -> PathBuf {
        self.folder.join("stats")
    }

    /// Whether all programs still run.
    ///
    /// # Errors
    /// When one has ended.
    pub fn ensure_running(&mut self) -> anyhow::Result<()> {
        self.cache_worker.iter_mut().try_for_each(Program::ensure_running)?;
        self.consumers.iter_mut().try_for_each(|(consumer, _)| consumer.ensure_running())
    }

    async fn assignment(&self) -> Assignment {
        Assignment::of(self.consumers.iter().map(|(_, address)| *address)).await
    }

    /// Waits until all `partitions` of the topic are assigned, to each consumer its share.
    ///
    /// # Errors
    /// When that takes longer than a minute, or a program ends.
    pub async fn wait_for_assignment(&mut self, partitions: usize) -> anyhow::Result<()> {
        let (started, mut progress) = (Instant::now(), ProgressLog::start());
        loop {
            self.ensure_running()?;
            let assignment = self.assignment().await;
            if assignment.is_complete(partitions) {
                tracing::info!("{} consumers: all {partitions} partitions assigned", self.consumers.len());
                return Ok(());
            }
            let (assigned, fewest) = (assignment.total(), assignment.fewest());
            ensure!(
                started.elapsed() < PROGRESS_TIMEOUT,
                "{assigned} of {partitions} partitions are assigned after {PROGRESS_TIMEOUT:?}, at least {fewest} to \
                 each consumer: see the consumers' logs in {}",
                self.logs().display()
            );
            progress.log(|| format!("consumers: {assigned} of {partitions} partitions assigned"));
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Waits until each consumer has at least `partitions` partitions.
    ///
    /// # Errors
    /// When that takes longer than a minute, or a program ends.
    pub async fn wait_for_partitions_each(&mut self, partitions: usize) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            self.ensure_running()?;
            let fewest = self.assignment().await.fewest();
            if fewest >= partitions {
                return Ok(());
            }
            ensure!(
                started.elapsed() < PROGRESS_TIMEOUT,
                "a consumer has only {fewest} of {partitions} partitions after {PROGRESS_TIMEOUT:?}"
            );
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Counts of the running consumers since their start.
    ///
    /// # Errors
    /// When a consumer does not answer.
    pub async fn counts(&self) -> anyhow::Result<ConsumerCounts> {
        let mut counts = ConsumerCounts::default();
        for (_, address) in &self.consumers {
            counts.consumed += metrics::value(*address, consumer::metrics::CONSUMED).await? as u64;
            counts.stored += metrics::value(*address, consumer::metrics::STORED).await? as u64;
            counts.duplicates += metrics::value(*address, consumer::metrics::DUPLICATES).await? as u64;
        }
        Ok(counts)
    }

    /// Waits until the latency logs have an entry for every order that was stored. The consumers append to them each
    /// second.
    ///
    /// # Errors
    /// When that takes longer than a minute, or a log can't be read.
    pub async fn wait_for_latency_logs(&self) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            let counts = self.counts().await?;
            let latencies = merge_logs(&self.stats_dir(), |series| series.starts_with(DUE_TO_COMMIT))
                .context("the latency logs can't be read")?
                .summary();
            let (logged, stored) = (latencies.count + latencies.clock_skew, counts.stored + counts.duplicates);
            if logged >= stored {
                return Ok(());
            }
            ensure!(
                started.elapsed() < PROGRESS_TIMEOUT,
                "the latency logs have {logged} of {stored} stored orders after {PROGRESS_TIMEOUT:?}"
            );
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Stops all programs.
    ///
    /// # Errors
    /// When a program fails; a consumer fails when its counts do not balance.
    pub async fn stop(self) -> anyhow::Result<()> {
        let programs = self.into_programs();
        for program in &programs {
            program.request_stop()?;
        }
        tokio::task::spawn_blocking(move || programs.into_iter().try_for_each(Program::wait_for_success)).await?
    }

    /// Leaves all programs running and returns their process ids.
    pub fn leave_running(self) -> Vec<u32> {
        let programs = self.into_programs();
        let pids = programs.iter().map(Program::pid).collect();
        programs.into_iter().for_each(Program::leave_running);
        pids
    }

    fn into_programs(mut self) -> Vec<Program> {
        let consumers = std::mem::take(&mut self.consumers).into_iter().map(|(consumer, _)| consumer);
        consumers.chain(self.cache_worker.take()).collect()
    }
}

async fn start_cache_worker(environment: &[(String, String)], logs: &Path) -> anyhow::Result<Program> {
    let address = free_address()?;
    let arguments = ["--listen", &address.to_string()];
    let mut cache_worker = Program::start("cache-worker", "cache-worker", arguments, environment, logs)?;
    let started = Instant::now();
    while !metrics::is_ready(address).await {
        cache_worker.ensure_running()?;
        ensure!(
            started.elapsed() < PROGRESS_TIMEOUT,
            "the cache-worker has not filled the cache after {PROGRESS_TIMEOUT:?}:\n{}",
            cache_worker.log_tail()
        );
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    tracing::info!("cache-worker: the cache is filled");
    Ok(cache_worker)
}
