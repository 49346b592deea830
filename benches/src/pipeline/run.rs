//! The steps of a run, in order.

use anyhow::Context;
use orderdb::audit::{AuditInputs, gather};
use shared::{
    database::DatabaseSettings,
    kafka::ensure_topic,
    ledger::RunId,
    program::{Outcome, OutputFormat},
};
use tokio_util::sync::CancellationToken;

use super::{
    lag::wait_for_lag_zero,
    other_members::require_no_other_members,
    producer::run_producer,
    programs::PipelinePrograms,
    requirements::{self, StoredFigures, stored_latencies},
    stored_rows::stored_rows,
    summary::PipelineSummary,
    warm_up::warm_up,
};
use crate::settings::PipelineSettings;

/// Orders that the summary prints.
const PRINTED_ROWS: usize = 5;

/// Runs the pipeline once and prints the summary. All programs are stopped at the end, and on `stop`.
///
/// # Errors
/// When a program can't be started or ends unexpectedly, when a wait times out, or on `stop`.
pub async fn run_pipeline(settings: PipelineSettings, stop: CancellationToken) -> anyhow::Result<Outcome> {
    let output = settings.output;
    let database = settings.services.database.settings()?;
    let run = stop.run_until_cancelled(run_and_audit(settings, &database)).await;
    let (summary, left_running) = run.context("interrupted; the started programs are stopped")??;
    match output {
        OutputFormat::Json => println!("{}", serde_json::to_string_pretty(&summary)?),
        OutputFormat::Text => println!("{summary}"),
    }
    if !left_running.is_empty() {
        let pids: Vec<String> = left_running.iter().map(u32::to_string).collect();
        eprintln!("the cache-worker and the consumers keep running; to stop them: kill {}", pids.join(" "));
    }
    Ok(if summary.is_valid() { Outcome::Valid } else { Outcome::Invalid })
}

/// Returns the summary, and the process ids of the programs that keep running.
async fn run_and_audit(
    settings: PipelineSettings,
    database: &DatabaseSettings,
) -> anyhow::Result<(PipelineSummary, Vec<u32>)> {
    let (kafka, topic) = (&settings.services.kafka, &settings.services.topic);
    let partitions = ensure_topic(kafka, &topic.orders()).await?;
    ensure_topic(kafka, &topic.dead_letters()).await?;
    require_no_other_members(kafka, &settings.group).await?;
    let mut programs = PipelinePrograms::start(&settings).await?;
    programs.wait_for_assignment(partitions).await?;
    // Records of earlier runs would delay the records of this one.
    wait_for_lag_zero(&settings, &mut programs).await?;
    warm_up(&settings, &mut programs).await?;

    let before = programs.counts().await?;
    let run = run_producer(&settings, settings.duration, &settings.require, settings.lifecycle()).await?;
    tracing::info!("producer: {} orders acknowledged, {}", run.counts.acknowledged, run.verdict);
    wait_for_lag_zero(&settings, &mut programs).await?;
    programs.wait_for_latency_logs().await?;
    let duplicates = programs.counts().await?.duplicates - before.duplicates;
    let stats_dir = programs.stats_dir();
    let left_running = if settings.keep {
        programs.leave_running()
    } else {
        programs.stop().await?;
        Vec::new()
    };

    tracing::info!("audit: comparing run ledger, topic and table");
    let audit = gather(audit_inputs(&settings, run.run_id.clone(), stats_dir.clone()), database).await?;
    let latencies = stored_latencies(&settings.runs, &run.run_id, &stats_dir)?;
    let figures = StoredFigures { audit: &audit, duplicates, latencies };
    let requirements = requirements::check(&settings.require, &run, &figures);
    let rows = stored_rows(database, &settings.runs, &run.run_id, PRINTED_ROWS).await?;
    let summary = PipelineSummary::new(run, &audit, requirements, duplicates, rows, settings.consumers);
    Ok((summary, left_running))
}

fn audit_inputs(settings: &PipelineSettings, run_id: RunId, stats_dir: std::path::PathBuf) -> AuditInputs {
    AuditInputs {
        run_id,
        runs: settings.runs.clone(),
        stats_dir: Some(stats_dir),
        kafka: settings.services.kafka.clone(),
    }
}
