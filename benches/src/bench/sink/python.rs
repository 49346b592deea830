//! A consumer in Python, with `confluent-kafka` and `psycopg`.

use std::{path::Path, process::Command};

use secrecy::ExposeSecret;
use shared::order_id::RunTag;

use super::fill_rate::{Fill, empty_table, measure_fill_rate};
use crate::{
    bench::{connector::tls, cpu::CpuMeter, environment::BenchEnvironment, filled_topic::FilledTopic},
    process::Program,
    settings::SinkBenchSettings,
};

/// How it stores orders.
#[derive(Clone, Copy, Debug)]
pub enum Method {
    /// One `INSERT` of arrays.
    Unnest,
    /// The same, of what has arrived, without waiting for a full batch.
    UnnestAtOnce,
    /// `COPY` into a temporary table, and one `INSERT` from there.
    Copy,
    /// One transaction and one offset commit for each order.
    OneByOne,
}

impl Method {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Unnest => &["--method", "unnest"],
            Self::UnnestAtOnce => &["--method", "unnest", "--wait", "0"],
            Self::Copy => &["--method", "copy"],
            Self::OneByOne => &["--method", "one-by-one"],
        }
    }

    /// Processes that share the topic, each with one connection: as many as one consumer of orderflow has.
    fn processes(self) -> usize {
        match self {
            Self::Unnest | Self::UnnestAtOnce | Self::Copy => 3,
            Self::OneByOne => 1,
        }
    }
}

/// Drains the topic.
///
/// # Errors
/// When a process fails, or not every order is stored exactly once.
pub async fn drain(
    bench: &BenchEnvironment,
    topic: &FilledTopic,
    settings: &SinkBenchSettings,
    method: Method,
) -> anyhow::Result<Fill> {
    empty_table(bench).await?;
    let mut processes = start(bench, &topic.name, &settings.peers, method)?;
    let mut meter = CpuMeter::new(processes.iter().map(Program::pid), &settings.stack)?;
    let ensure_running = || processes.iter_mut().try_for_each(Program::ensure_running);
    let fill = measure_fill_rate(bench, topic, &mut meter, ensure_running).await?;
    stop(processes).await?;
    Ok(fill)
}

/// Starts the processes of `method` as a new group.
///
/// # Errors
/// When one can't be started.
pub fn start(bench: &BenchEnvironment, topic: &str, peers: &Path, method: Method) -> anyhow::Result<Vec<Program>> {
    let (user, password) = bench.database.credentials();
    let group = format!("{}.{}", bench.name, RunTag::random());
    let start = |number| {
        let mut command = Command::new(peers.join("batch-consumer"));
        command.args(["--brokers", &bench.services.kafka.brokers, "--topic", topic, "--group", &group]);
        command.args(method.arguments());
        command.args(["--dsn", &format!("postgresql://{}?{}", bench.database.place(), tls(&bench.database))]);
        command.env("PGUSER", &user).env("PGPASSWORD", password.expose_secret());
        Program::spawn(&format!("python-{number}"), command, &bench.logs())
    };
    (0..method.processes()).map(start).collect()
}

/// Stops all of them.
///
/// # Errors
/// When one has failed.
pub async fn stop(processes: Vec<Program>) -> anyhow::Result<()> {
    processes.iter().try_for_each(Program::request_stop)?;
    tokio::task::spawn_blocking(move || processes.into_iter().try_for_each(Program::wait_for_success)).await?
}
