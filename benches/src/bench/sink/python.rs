//! A consumer in Python, with `confluent-kafka` and `psycopg`.

use std::process::Command;

use secrecy::ExposeSecret;
use shared::order_id::RunTag;

use super::fill_rate::{empty_table, measure_fill_rate};
use crate::{
    bench::{environment::BenchEnvironment, filled_topic::FilledTopic},
    process::Program,
    settings::SinkBenchSettings,
};

/// How it stores orders.
#[derive(Clone, Copy, Debug)]
pub enum Method {
    /// The statements of a batch in a pipeline.
    Pipeline,
    /// `COPY` into a temporary table, and one `INSERT` from there.
    Copy,
    /// One transaction and one offset commit for each order.
    OneByOne,
}

impl Method {
    fn argument(self) -> &'static str {
        match self {
            Self::Pipeline => "pipeline",
            Self::Copy => "copy",
            Self::OneByOne => "one-by-one",
        }
    }

    /// Processes that share the topic, each with one connection: as many as one consumer of orderflow has.
    fn processes(self) -> usize {
        match self {
            Self::Pipeline | Self::Copy => 3,
            Self::OneByOne => 1,
        }
    }
}

/// Drains the topic, which has `orders`, and returns rows per second.
///
/// # Errors
/// When a process fails, or not every order is stored exactly once.
pub async fn drain(
    bench: &BenchEnvironment,
    topic: &FilledTopic,
    settings: &SinkBenchSettings,
    orders: u64,
    method: Method,
) -> anyhow::Result<f64> {
    empty_table(bench).await?;
    let (user, password) = bench.database.credentials();
    let group = format!("{}.{}", bench.name, RunTag::random());
    let start = |number| {
        let mut command = Command::new(settings.peers.join("batch-consumer"));
        command.args(["--brokers", &bench.services.kafka.brokers, "--topic", &topic.name, "--group", &group]);
        command.args(["--method", method.argument()]);
        command.args(["--dsn", &format!("postgresql://{}", bench.database.place())]);
        command.env("PGUSER", &user).env("PGPASSWORD", password.expose_secret());
        Program::spawn(&format!("python-{number}"), command, &bench.logs())
    };
    let mut processes = (0..method.processes()).map(start).collect::<anyhow::Result<Vec<_>>>()?;
    let ensure_running = || processes.iter_mut().try_for_each(Program::ensure_running);
    let rows_per_second = measure_fill_rate(bench, topic, orders, ensure_running).await?;
    for process in &processes {
        process.request_stop()?;
    }
    tokio::task::spawn_blocking(move || processes.into_iter().try_for_each(Program::wait_for_success)).await??;
    Ok(rows_per_second)
}
