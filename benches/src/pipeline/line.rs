//! What runs beside the producer: the cache-worker and the consumers.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, ensure};
use secrecy::ExposeSecret;
use shared::{
    latency::{DUE_TO_COMMIT, merge_logs},
    order_id::RunTag,
};

use super::{LOOK_EVERY, PATIENCE, TELL_EVERY, tell};
use crate::{
    metrics,
    programs::{Program, free_address},
    settings::PipelineSettings,
};

/// The settings by which our programs find everything, the same for all of them.
pub fn environment(settings: &PipelineSettings) -> Vec<(String, String)> {
    let mut environment = settings.database.environment();
    environment.extend(settings.kafka.environment());
    for (name, value) in [
        ("ORDERS_TOPIC", settings.topic.topic.clone()),
        ("REDIS_URL", settings.cache.redis_url.expose_secret().to_owned()),
        ("REDIS_PREFIX", settings.cache.redis_prefix.clone()),
        ("CONSUMER_GROUP", settings.group.clone()),
    ] {
        environment.push((name.to_owned(), value));
    }
    environment
}

/// The client settings that were given, as arguments for a program that speaks to Kafka.
pub fn kafka_config(settings: &PipelineSettings) -> Vec<String> {
    settings
        .kafka
        .extra
        .iter()
        .flat_map(|(key, value)| ["--kafka-config".to_owned(), format!("{key}={value}")])
        .collect()
}

/// What the consumers counted, all together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Records read.
    pub consumed: u64,
    /// Rows inserted.
    pub stored: u64,
    /// Records whose order was in the table already.
    pub duplicates: u64,
}

/// The programs beside the producer, and where they are reached.
pub struct Line {
    cache_worker: Option<Program>,
    consumers: Vec<(Program, SocketAddr)>,
    started: usize,
    environment: Vec<(String, String)>,
    kafka_config: Vec<String>,
    folder: PathBuf,
}

impl Drop for Line {
    /// All are asked before the first is waited for, so that they stop beside each other.
    fn drop(&mut self) {
        for program in self.consumers.iter().map(|(consumer, _)| consumer).chain(&self.cache_worker) {
            let _ = program.ask_to_stop();
        }
    }
}

impl Line {
    /// Starts the cache-worker, waits for its first round, and starts the consumers.
    ///
    /// # Errors
    /// When one can't be started or ends early.
    pub async fn start(settings: &PipelineSettings) -> anyhow::Result<Self> {
        let folder = settings
            .work_dir
            .clone()
            .unwrap_or_else(|| settings.runs.runs_dir.join(format!("pipeline-{}", RunTag::random())));
        let (logs, environment) = (folder.join("logs"), environment(settings));
        let address = free_address()?;
        let mut cache_worker =
            Program::start("cache-worker", "cache-worker", ["--listen", &address.to_string()], &environment, &logs)?;
        let started = Instant::now();
        while !metrics::is_ready(address).await {
            cache_worker.check()?;
            ensure!(
                started.elapsed() < PATIENCE,
                "the cache is not filled after {PATIENCE:?}:\n{}",
                cache_worker.log_tail()
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
        tell("cache-worker: the cache is filled");
        let mut line = Self {
            cache_worker: Some(cache_worker),
            consumers: Vec::new(),
            started: 0,
            environment,
            kafka_config: kafka_config(settings),
            folder,
        };
        (0..settings.consumers).try_for_each(|_| line.add_consumer())?;
        Ok(line)
    }

    /// Starts one more consumer.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn add_consumer(&mut self) -> anyhow::Result<()> {
        self.started += 1;
        let (name, address) = (format!("consumer-{}", self.started), free_address()?);
        let (listen, stats, logs) = (address.to_string(), self.stats(), self.logs());
        let arguments = ["--listen", &listen, "--instance", &name, "--stats-dir"].map(Path::new);
        let arguments = arguments.into_iter().chain([stats.as_path()]).chain(self.kafka_config.iter().map(Path::new));
        let consumer = Program::start(&name, "consumer", arguments, &self.environment, &logs)?;
        self.consumers.push((consumer, address));
        Ok(())
    }

    /// A consumer of those that are in the line, the oldest first, and where it is reached.
    pub fn consumer(&self, number: usize) -> (&Program, SocketAddr) {
        let (program, address) = &self.consumers[number];
        (program, *address)
    }

    /// Takes the oldest consumer out of the line, still running.
    pub fn take_consumer(&mut self) -> Program {
        self.consumers.remove(0).0
    }

    /// Where the programs' logs are.
    pub fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    /// Where the consumers' latency logs are.
    pub fn stats(&self) -> PathBuf {
        self.folder.join("stats")
    }

    /// An error when one of the programs has ended.
    ///
    /// # Errors
    /// When one has.
    pub fn check(&mut self) -> anyhow::Result<()> {
        self.cache_worker.iter_mut().try_for_each(Program::check)?;
        self.consumers.iter_mut().try_for_each(|(consumer, _)| consumer.check())
    }

    /// Waits until every partition has its consumer.
    ///
    /// # Errors
    /// When that takes too long, or a program ends early.
    pub async fn wait_for_assignment(&mut self, partitions: usize) -> anyhow::Result<()> {
        let (started, mut told) = (Instant::now(), Instant::now());
        loop {
            self.check()?;
            let mut assigned = 0;
            for (_, address) in &self.consumers {
                // One that has just been started does not answer yet.
                assigned += metrics::value(*address, consumer::metrics::ASSIGNED).await.unwrap_or(0.0) as usize;
            }
            if assigned == partitions {
                tell(&format!("{} consumers: all {partitions} partitions assigned", self.consumers.len()));
                return Ok(());
            }
            ensure!(
                started.elapsed() < PATIENCE,
                "{assigned} of {partitions} partitions are assigned after {PATIENCE:?}: see {}",
                self.logs().display()
            );
            if told.elapsed() > TELL_EVERY {
                tell(&format!("consumers: {assigned} of {partitions} partitions assigned"));
                told = Instant::now();
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until each consumer has at least `partitions` partitions.
    ///
    /// # Errors
    /// When that takes too long, or a program ends early.
    pub async fn wait_for_share(&mut self, partitions: usize) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            self.check()?;
            let mut least = usize::MAX;
            for (_, address) in &self.consumers {
                least = least.min(metrics::value(*address, consumer::metrics::ASSIGNED).await.unwrap_or(0.0) as usize);
            }
            if least >= partitions {
                return Ok(());
            }
            ensure!(started.elapsed() < PATIENCE, "a consumer has only {least} partitions after {PATIENCE:?}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// What the consumers have counted so far.
    ///
    /// # Errors
    /// When one doesn't answer.
    pub async fn counts(&self) -> anyhow::Result<Counts> {
        let mut counts = Counts::default();
        for (_, address) in &self.consumers {
            counts.consumed += metrics::value(*address, consumer::metrics::CONSUMED).await? as u64;
            counts.stored += metrics::value(*address, consumer::metrics::STORED).await? as u64;
            counts.duplicates += metrics::value(*address, consumer::metrics::DUPLICATES).await? as u64;
        }
        Ok(counts)
    }

    /// Waits until the latency logs, which are written each second, have every row that was stored.
    ///
    /// # Errors
    /// When they don't get there, or can't be read.
    pub async fn wait_for_latency_logs(&self) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            let counts = self.counts().await?;
            let latencies = merge_logs(&self.stats(), |series| series.starts_with(DUE_TO_COMMIT))
                .context("the latency logs can't be read")?
                .summary();
            if latencies.count + latencies.clock_skew >= counts.stored + counts.duplicates {
                return Ok(());
            }
            ensure!(started.elapsed() < PATIENCE, "the latency logs lack rows that were stored");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Stops the programs, or leaves them running and gives their process ids.
    ///
    /// # Errors
    /// When one does not end well: a consumer whose account does not balance says so this way.
    pub async fn end(mut self, keep: bool) -> anyhow::Result<Vec<String>> {
        let consumers = std::mem::take(&mut self.consumers).into_iter().map(|(consumer, _)| consumer);
        let programs: Vec<Program> = consumers.chain(self.cache_worker.take()).collect();
        if keep {
            let pids = programs.iter().map(|program| program.pid().to_string()).collect();
            programs.into_iter().for_each(Program::leave_running);
            return Ok(pids);
        }
        for program in &programs {
            program.ask_to_stop()?;
        }
        tokio::task::spawn_blocking(move || programs.into_iter().try_for_each(Program::finish)).await??;
        Ok(Vec::new())
    }
}
