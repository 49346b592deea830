//! A consumer in Python, `confluent-kafka` and `psycopg`, by the batch.

use std::process::Command;

use secrecy::ExposeSecret;
use shared::order_id::RunTag;

use super::drain::{empty_table, watch};
use crate::{bench::corner::Corner, programs::Program, settings::SinkBenchSettings};

/// Drains the topic and gives rows a second.
///
/// # Errors
/// When it fails, or does not store everything once.
pub async fn drain(corner: &Corner, settings: &SinkBenchSettings) -> anyhow::Result<f64> {
    empty_table(corner).await?;
    let (user, password) = corner.database.credentials();
    let mut command = Command::new(settings.peers.join("batch-consumer"));
    command.args(["--brokers", &corner.kafka.brokers, "--topic", &corner.orders.topic]);
    command.args(["--group", &format!("{}.{}", corner.name, RunTag::random())]);
    command.args(["--dsn", &format!("postgresql://{}", corner.database.place())]);
    command.env("PGUSER", user).env("PGPASSWORD", password.expose_secret());
    let mut consumer = Program::spawn("python", command, &corner.logs())?;
    let rows_a_second = watch(corner, &corner.orders, settings.orders, || consumer.check()).await?;
    tokio::task::spawn_blocking(move || consumer.stop()).await??;
    Ok(rows_a_second)
}
