//! The producer that runs in the background of all measurements.

use std::time::Duration;

use anyhow::{Context, bail};
use shared::ledger::RunSummary;

use crate::{bench::environment::BenchEnvironment, process::Program};

/// Includes the flush of the last orders.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

pub struct BackgroundProducer(Program);

impl BackgroundProducer {
    /// Starts a run without an end at `rate` orders per second.
    ///
    /// # Errors
    /// When the producer can't be started.
    pub fn start(bench: &BenchEnvironment, rate: u32) -> anyhow::Result<Self> {
        let runs = bench.folder.path().join("runs").display().to_string();
        let arguments = ["--rate", &rate.to_string(), "--output", "json", "--runs-dir", &runs];
        Ok(Self(Program::start("producer", "producer", arguments, &bench.variables, &bench.logs())?))
    }

    /// Stops the run and returns the rate that it achieved.
    ///
    /// # Errors
    /// When the producer failed or prints no summary.
    pub async fn stop(self) -> anyhow::Result<f64> {
        let Self(mut producer) = self;
        tokio::task::spawn_blocking(move || {
            producer.ensure_running()?;
            producer.request_stop()?;
            let status = producer.wait(STOP_TIMEOUT)?;
            // Exit code 3 is fine: the lookups take CPU time, so that the producer may miss its rate.
            if !matches!(status.code(), Some(0 | 3)) {
                bail!("the producer failed, {status}:\n{}", producer.log_tail());
            }
            let log = producer.log();
            // The log lines on stderr come before the summary on stdout.
            let summary = log.find("\n{").map(|at| &log[at..]).context("the producer printed no summary")?;
            let summary = serde_json::Deserializer::from_str(summary).into_iter::<RunSummary>().next();
            Ok(summary.context("the producer printed no summary")??.rate_achieved)
        })
        .await?
    }
}
