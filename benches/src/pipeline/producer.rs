//! Runs the producer once.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, bail};
use shared::{
    ledger::RunSummary,
    requirement::{MeasuredBy, Requirement},
    telemetry::LOG_FORMAT_VARIABLE,
};

use super::environment::environment;
use crate::{
    interruptible::run_to_end,
    process::{command, kafka_config_arguments},
    settings::{Lifecycle, PipelineSettings},
};

/// Runs the producer for `duration`, and as long as its orders change. It checks those of the `requirements` that it
/// can measure. Its log goes to the stderr of this process, in the same form. When the future is dropped, the producer
/// is stopped, and its ledger is complete.
///
/// # Errors
/// When the producer fails. A run that is not valid is not an error.
pub async fn run_producer(
    settings: &PipelineSettings,
    duration: Duration,
    requirements: &[Requirement],
    lifecycle: Lifecycle,
) -> anyhow::Result<RunSummary> {
    let mut producer = command("producer")?;
    let (rate, duration) = (settings.rate.to_string(), humantime::format_duration(duration).to_string());
    producer.args(["--rate", &rate, "--duration", &duration]);
    if lifecycle == Lifecycle::Changing {
        producer.arg("--lifecycle");
    }
    for requirement in requirements.iter().filter(|requirement| requirement.measured_by() == MeasuredBy::Producer) {
        producer.args(["--require", &requirement.to_string()]);
    }
    producer.args(kafka_config_arguments(&settings.services.kafka));
    producer.args(["--output", "json", "--runs-dir"]).arg(&settings.runs.runs_dir).envs(environment(settings));
    producer.env(LOG_FORMAT_VARIABLE, settings.log_format.name());
    producer.stdout(Stdio::piped());
    let output = run_to_end("the producer", producer).await?;
    match output.status.code() {
        Some(0 | 3) => serde_json::from_slice(&output.stdout).context("the producer's summary can't be parsed"),
        _ => bail!("the producer failed, {}: its error is in the log above", output.status),
    }
}
