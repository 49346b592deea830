//! Waits until the consumer group has no lag.

use std::time::Instant;

use anyhow::ensure;
use shared::kafka::group_lag;

use super::{
    programs::PipelinePrograms,
    progress::{POLL_INTERVAL, PROGRESS_TIMEOUT, ProgressLog},
};
use crate::settings::PipelineSettings;

/// Waits until the group has committed the end offset of every partition.
///
/// # Errors
/// When a program ends, or the lag does not shrink for a minute.
pub async fn wait_for_lag_zero(settings: &PipelineSettings, programs: &mut PipelinePrograms) -> anyhow::Result<()> {
    let (mut smallest, mut since, mut progress) = (i64::MAX, Instant::now(), ProgressLog::start());
    loop {
        programs.ensure_running()?;
        let (kafka, topic) = (settings.services.kafka.clone(), settings.services.topic.topic.clone());
        let group = settings.group.clone();
        let lag = tokio::task::spawn_blocking(move || group_lag(&kafka, &topic, &group)).await??.total();
        if lag == 0 {
            tracing::info!("consumer group {}: lag 0, all records are committed", settings.group);
            return Ok(());
        }
        if lag < smallest {
            (smallest, since) = (lag, Instant::now());
        }
        ensure!(
            since.elapsed() < PROGRESS_TIMEOUT,
            "the lag of consumer group {} stays at {lag} records for {PROGRESS_TIMEOUT:?}: see the \
             consumers' logs in {}",
            settings.group,
            programs.logs().display()
        );
        progress.log(|| format!("consumer group {}: lag {lag} records", settings.group));
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
