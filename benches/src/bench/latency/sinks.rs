//! Starts and stops each sink.

use std::path::{Path, PathBuf};

use anyhow::bail;
use shared::{order_id::RunTag, services::ServiceSettings};

use super::contestant::Contestant;
use crate::{
    bench::{
        connect::{ConnectWorker, Connector},
        connector::{Setup, wire_connector},
        environment::BenchEnvironment,
        sink::python::{self, Method},
    },
    process::Program,
};

/// A sink that stores the orders of a topic.
pub enum RunningSink<'worker> {
    Programs {
        programs: Vec<Program>,
        /// Of the latency logs of a consumer.
        stats: Option<PathBuf>,
    },
    Connector(&'worker mut ConnectWorker, Connector),
}

impl<'worker> RunningSink<'worker> {
    /// Starts the sink for the topic in `services`, with a group of its own.
    ///
    /// # Errors
    /// When it can't be started.
    pub async fn start(
        sink: Contestant,
        bench: &BenchEnvironment,
        services: &ServiceSettings,
        worker: &'worker mut ConnectWorker,
        peers: &Path,
    ) -> anyhow::Result<Self> {
        let topic = &services.topic.topic;
        let setup = match sink {
            Contestant::Python => {
                let programs = python::start(bench, topic, peers, Method::UnnestAtOnce)?;
                return Ok(Self::Programs { programs, stats: None });
            }
            Contestant::Debezium => Setup::Default,
            Contestant::DebeziumTuned => Setup::Tuned,
            Contestant::Consumer => return consumer(bench, services),
            Contestant::Producer | Contestant::PerfTest => bail!("{} is no sink", sink.name()),
        };
        let connector = worker.create(bench, wire_connector(&bench.database, topic, setup)).await?;
        Ok(Self::Connector(worker, connector))
    }

    pub fn pids(&self) -> Vec<u32> {
        match self {
            Self::Programs { programs, .. } => programs.iter().map(Program::pid).collect(),
            Self::Connector(worker, _) => vec![worker.pid()],
        }
    }

    /// Folder of the latency logs, if it writes some.
    pub fn stats(&self) -> Option<PathBuf> {
        match self {
            Self::Programs { stats, .. } => stats.clone(),
            Self::Connector(..) => None,
        }
    }

    /// # Errors
    /// When it has failed.
    pub fn ensure_running(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Programs { programs, .. } => programs.iter_mut().try_for_each(Program::ensure_running),
            Self::Connector(worker, connector) => worker.ensure_running(connector),
        }
    }

    /// # Errors
    /// When it has failed, or does not stop.
    pub async fn stop(self) -> anyhow::Result<()> {
        match self {
            Self::Programs { programs, .. } => python::stop(programs).await,
            Self::Connector(worker, connector) => worker.delete(connector).await,
        }
    }
}

fn consumer<'worker>(bench: &BenchEnvironment, services: &ServiceSettings) -> anyhow::Result<RunningSink<'worker>> {
    let run = RunTag::random();
    let stats = bench.folder.path().join(format!("stats-{run}"));
    let mut environment = services.environment();
    environment.push(("CONSUMER_GROUP".to_owned(), format!("{}.{run}", bench.name)));
    let arguments = [Path::new("--stats-dir"), &stats];
    let consumer = Program::start("consumer", "consumer", arguments, &environment, &bench.logs())?;
    Ok(RunningSink::Programs { programs: vec![consumer], stats: Some(stats) })
}
