//! A producer at a steady rate, and the CPU time of its measured part.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use shared::{
    ledger::{Run, RunSummary, Verdict},
    services::ServiceSettings,
};

use crate::{
    bench::cpu::{CpuMeter, CpuTime},
    process::{Program, command, kafka_config_arguments},
    settings::LatencyBenchSettings,
};

/// Limits the precision of the CPU time: a client's is that of the last reading before it ended.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// From the end of the schedule to the end of the producer.
const END_TIMEOUT: Duration = Duration::from_secs(60);

/// The command that sends orders for warm-up and measured time to `topic`. Its ledger is in the folder `runs`.
///
/// # Errors
/// When the producer is not built.
pub fn producer(
    services: &ServiceSettings,
    settings: &LatencyBenchSettings,
    runs: &std::path::Path,
) -> anyhow::Result<Command> {
    let duration = |duration| humantime::format_duration(duration).to_string();
    let mut producer = command("producer")?;
    producer.args(["--rate", &settings.rate.to_string(), "--duration", &duration(settings.duration)]);
    producer.args(["--warm-up", &duration(settings.warm_up), "--output", "json", "--runs-dir"]).arg(runs);
    producer.args(kafka_config_arguments(&services.kafka)).envs(services.environment());
    Ok(producer)
}

/// A producer that runs.
pub struct Paced {
    program: Program,
    started: Instant,
}

impl Paced {
    pub fn start(command: Command, logs: &std::path::Path) -> anyhow::Result<Self> {
        Ok(Self { program: Program::spawn("producer", command, logs)?, started: Instant::now() })
    }

    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// Waits until the producer has ended. Returns its log, and the CPU time in cores from the end of the warm-up on.
    ///
    /// # Errors
    /// When the producer fails, or does not end in time.
    pub async fn run(
        mut self,
        settings: &LatencyBenchSettings,
        meter: &mut CpuMeter,
        mut check: impl FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<(String, CpuTime)> {
        tokio::time::sleep_until((self.started + settings.warm_up).into()).await;
        let (measured_from, first) = (Instant::now(), meter.read());
        let latest = self.started + settings.warm_up + settings.duration + END_TIMEOUT;
        while self.program.try_wait()?.is_none() {
            check()?;
            ensure!(Instant::now() < latest, "the producer does not end:\n{}", self.program.log_tail());
            meter.read();
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
        let cores = meter.read().since(first, measured_from.elapsed().as_secs_f64());
        let log = self.program.log();
        let status = self.program.wait(END_TIMEOUT)?;
        ensure!(matches!(status.code(), Some(0 | 3)), "the producer failed, {status}:\n{}", self.program.log_tail());
        Ok((log, cores))
    }
}

/// The summary of the producer, and its run, from log and ledger. A run that is not valid, such as one that was late, is
/// said in the log.
///
/// # Errors
/// When it has none, or orders are not acknowledged.
pub fn summary(log: &str, runs: &std::path::Path) -> anyhow::Result<(RunSummary, Run)> {
    // The log lines on stderr, if there are any, come before the summary on stdout.
    let json = if log.starts_with('{') { Some(0) } else { log.find("\n{") };
    let json = json.map(|at| &log[at..]).context("the producer printed no summary")?;
    let summary = serde_json::Deserializer::from_str(json).into_iter::<RunSummary>().next();
    let summary = summary.context("the producer printed no summary")??;
    let runs = shared::ledger::RunsFolder { runs_dir: runs.to_owned() };
    let ledgers = runs.read(&summary.run_id)?;
    let run = ledgers.into_iter().next().context("the run has no ledger")?.run;
    let unsent = summary.counts.skipped + summary.counts.failed + summary.unknown();
    ensure!(
        unsent == 0,
        "{unsent} orders are not acknowledged, {}: the machine is too busy to measure",
        summary.verdict
    );
    if summary.verdict != Verdict::Valid {
        let late = summary.lateness_ms.p99;
        tracing::warn!(
            "the producer's run is not valid, {}: it sent with a lateness of p99 {late:.1} ms",
            summary.verdict
        );
    }
    Ok((summary, run))
}
