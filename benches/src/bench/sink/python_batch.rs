//! A batch consumer in Python, with `confluent-kafka` and `psycopg`.

use std::process::Command;

use secrecy::ExposeSecret;
use shared::order_id::RunTag;

use super::fill_rate::{empty_table, measure_fill_rate};
use crate::{
    bench::{environment::BenchEnvironment, filled_topic::FilledTopic},
    process::Program,
    settings::SinkBenchSettings,
};

/// Drains the topic and returns rows per second.
///
/// # Errors
/// When the consumer fails, or not every order is stored exactly once.
pub async fn drain(bench: &BenchEnvironment, topic: &FilledTopic, settings: &SinkBenchSettings) -> anyhow::Result<f64> {
    empty_table(bench).await?;
    let (user, password) = bench.database.credentials();
    let mut command = Command::new(settings.peers.join("batch-consumer"));
    command.args(["--brokers", &bench.services.kafka.brokers, "--topic", &topic.name]);
    command.args(["--group", &format!("{}.{}", bench.name, RunTag::random())]);
    command.args(["--dsn", &format!("postgresql://{}", bench.database.place())]);
    command.env("PGUSER", user).env("PGPASSWORD", password.expose_secret());
    let mut consumer = Program::spawn("python", command, &bench.logs())?;
    let rows_per_second = measure_fill_rate(bench, topic, settings.orders, || consumer.ensure_running()).await?;
    tokio::task::spawn_blocking(move || consumer.stop()).await??;
    Ok(rows_per_second)
}
