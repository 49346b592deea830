//! Runs the producer once.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, bail};
use shared::ledger::RunSummary;

use super::environment::environment;
use crate::{
    process::{command, kafka_config_arguments},
    settings::PipelineSettings,
};

/// Runs the producer for `duration`. Its log goes to the stderr of this process.
///
/// # Errors
/// When the producer fails. A run that is not valid is not an error.
pub async fn run_producer(settings: &PipelineSettings, duration: Duration) -> anyhow::Result<RunSummary> {
    let mut producer = tokio::process::Command::from(command("producer")?);
    let (rate, duration) = (settings.rate.to_string(), humantime::format_duration(duration).to_string());
    producer.args(["--rate", &rate, "--duration", &duration]);
    producer.args(kafka_config_arguments(&settings.services.kafka));
    producer.args(["--output", "json", "--runs-dir"]).arg(&settings.runs.runs_dir).envs(environment(settings));
    // The producer shares the terminal: Ctrl-C reaches it too, and it stops gracefully. In all other cases it ends with
    // this process.
    let child = producer
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("the producer can't be started")?;
    let output = child.wait_with_output().await?;
    match output.status.code() {
        Some(0 | 3) => serde_json::from_slice(&output.stdout).context("the producer's summary can't be parsed"),
        _ => bail!("the producer failed, {}: its error is in the log above", output.status),
    }
}
