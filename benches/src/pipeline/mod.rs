//! The whole line once: cache-worker and consumers come up, one producer run goes through, everything is stored, and the
//! audit proves it. [`line`] is what runs beside the producer, [`summary`] what is told at the end.

pub mod line;
pub mod summary;

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use shared::{
    database::DatabaseSettings,
    kafka::{ensure_topic, group_lag},
    ledger::RunSummary,
    program::{Outcome, OutputFormat},
};
use tokio_util::sync::CancellationToken;

use self::{
    line::Line,
    summary::{PipelineSummary, stored_rows},
};
use crate::{programs::command, settings::PipelineSettings};

/// Without any progress for this long, a wait is given up.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(250);
const TELL_EVERY: Duration = Duration::from_secs(2);
/// Orders shown at the end.
const SAMPLE_ROWS: i64 = 5;

/// Runs the line once and tells how it went. What was started is stopped again, also when `stop` cuts it short.
///
/// # Errors
/// When a program can't be started or ends early, or a wait is in vain.
pub async fn pipeline(settings: PipelineSettings, stop: CancellationToken) -> anyhow::Result<Outcome> {
    let (output, keep) = (settings.output, settings.keep);
    let database = settings.database.settings()?;
    let summary = match stop.run_until_cancelled(run(settings, &database)).await {
        Some(summary) => summary?,
        None => bail!("interrupted; what was started is stopped"),
    };
    match output {
        OutputFormat::Json => println!("{}", serde_json::to_string_pretty(&summary)?),
        OutputFormat::Text => println!("{summary}"),
    }
    if keep {
        eprintln!(
            "the cache-worker and the consumers go on (process ids {}); end them with SIGTERM",
            summary.kept.join(" ")
        );
    }
    Ok(if summary.is_valid() { Outcome::Valid } else { Outcome::Invalid })
}

async fn run(settings: PipelineSettings, database: &DatabaseSettings) -> anyhow::Result<PipelineSummary> {
    let partitions = ensure_topic(&settings.kafka, &settings.topic.orders()).await?;
    ensure_topic(&settings.kafka, &settings.topic.dead_letters()).await?;
    let mut line = Line::start(&settings).await?;
    line.wait_for_assignment(partitions).await?;
    // What earlier runs left behind would stand before this run's orders in the queue.
    wait_for_lag(&settings, &mut line).await?;
    if let Some(length) = settings.warm_up {
        // A run of its own: the figures of the other one have nothing of it.
        let warm_up = produce(&settings, length).await?;
        tell(&format!("warm-up done: {} acknowledged, in run {}", warm_up.counts.acknowledged, warm_up.run_id));
        wait_for_lag(&settings, &mut line).await?;
    }

    let before = line.counts().await?;
    let run = produce(&settings, settings.duration).await?;
    tell(&format!("producer done: {} acknowledged, {}", run.counts.acknowledged, run.verdict));
    wait_for_lag(&settings, &mut line).await?;
    line.wait_for_latency_logs().await?;
    let duplicates = line.counts().await?.duplicates - before.duplicates;
    let (stats, kept) = (line.stats(), line.end(settings.keep).await?);

    tell("audit: ledger, topic and table are compared");
    let audit = orderdb::audit::AuditInputs {
        run_id: run.run_id.clone(),
        runs: settings.runs.clone(),
        stats_dir: Some(stats),
        kafka: settings.kafka.clone(),
        dead_letter_topic: settings.topic.dead_letter_topic(),
    };
    let report = orderdb::audit::gather(audit, database).await?;
    let rows = stored_rows(database, &settings.runs, &run.run_id, SAMPLE_ROWS).await?;
    Ok(PipelineSummary::new(run, &report, duplicates, rows, settings.consumers, kept))
}

/// Tells a person what is going on.
fn tell(what: &str) {
    tracing::info!("{what}");
}

/// Runs the producer for so long; its progress goes to our stderr.
///
/// # Errors
/// When it fails.
pub async fn produce(settings: &PipelineSettings, length: Duration) -> anyhow::Result<RunSummary> {
    let mut producer = tokio::process::Command::from(command("producer")?);
    producer.args([
        "--rate",
        &settings.rate.to_string(),
        "--duration",
        &humantime::format_duration(length).to_string(),
    ]);
    producer.args(line::kafka_config(settings));
    producer.args(["--output", "json", "--runs-dir"]).arg(&settings.runs.runs_dir).envs(line::environment(settings));
    // Ended with us when we are interrupted: the terminal's Ctrl-C reaches it as well, and it stops gracefully.
    let child = producer
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("the producer can't be started")?;
    let output = child.wait_with_output().await?;
    match output.status.code() {
        Some(0 | 3) => serde_json::from_slice(&output.stdout).context("the producer's summary can't be read"),
        _ => bail!("the producer failed ({}): see what it said above", output.status),
    }
}

/// Waits until the group has committed all that the topic has.
///
/// # Errors
/// When a program ends early, or there is no progress.
pub async fn wait_for_lag(settings: &PipelineSettings, line: &mut Line) -> anyhow::Result<()> {
    let (mut best, mut progress, mut told) = (i64::MAX, Instant::now(), Instant::now());
    loop {
        line.check()?;
        let (kafka, topic, group) = (settings.kafka.clone(), settings.topic.topic.clone(), settings.group.clone());
        let lag = tokio::task::spawn_blocking(move || group_lag(&kafka, &topic, &group)).await??.total();
        if lag == 0 {
            tell("lag zero: the group has committed all that the topic has");
            return Ok(());
        }
        if lag < best {
            (best, progress) = (lag, Instant::now());
        }
        ensure!(
            progress.elapsed() < PATIENCE,
            "the lag stays at {lag} for {PATIENCE:?}: see the consumers' logs in {}",
            line.logs().display()
        );
        if told.elapsed() > TELL_EVERY {
            tell(&format!("waiting until all is stored: {lag} records behind"));
            told = Instant::now();
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
