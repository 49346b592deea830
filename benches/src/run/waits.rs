//! What a run waits for: the assignment of the partitions, and that all records are stored.

use std::time::Instant;

use anyhow::{Context, ensure};
use shared::kafka::group_lag;
use tokio::time::sleep;

use super::programs::Programs;
use crate::{
    fault::Target,
    measure::LagSource,
    pipeline::{
        assignment::Assignment,
        progress::{POLL_INTERVAL, PROGRESS_TIMEOUT, ProgressLog},
    },
};

/// Waits until the consumers have all `partitions`, each its share.
///
/// # Errors
/// When that takes longer than a minute, or a consumer ends.
pub async fn wait_for_assignment(programs: &Programs, partitions: usize) -> anyhow::Result<()> {
    let (started, mut progress) = (Instant::now(), ProgressLog::start());
    loop {
        let mut consumers = programs.list();
        consumers.retain(|program| matches!(program.target, Target::Consumer(_)));
        for program in &consumers {
            ensure!(program.is_running, "{} ended: see {}", program.target, programs.log_path(program.target));
        }
        let assignment = Assignment::of(consumers.iter().map(|program| program.address)).await;
        if assignment.is_complete(partitions) {
            return Ok(());
        }
        let (assigned, fewest) = (assignment.total(), assignment.fewest());
        ensure!(
            started.elapsed() < PROGRESS_TIMEOUT,
            "{assigned} of {partitions} partitions are assigned after {PROGRESS_TIMEOUT:?}, at least {fewest} to each \
             consumer: see the consumers' logs in {}",
            programs.setup().logs().display()
        );
        progress.log(|| format!("consumers: {assigned} of {partitions} partitions assigned"));
        sleep(POLL_INTERVAL).await;
    }
}

/// How a wait for the last records ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// The group has committed the end of every partition.
    All,
    /// The lag, in records, did not shrink for a minute.
    Stuck { lag: i64 },
}

/// Waits until the group has no lag.
///
/// # Errors
/// When the brokers do not answer for a minute.
pub async fn drain(source: &LagSource) -> anyhow::Result<Drained> {
    let (mut smallest, mut since, mut progress) = (i64::MAX, Instant::now(), ProgressLog::start());
    loop {
        match lag(source).await {
            Ok(0) => return Ok(Drained::All),
            Ok(lag) => {
                if lag < smallest {
                    (smallest, since) = (lag, Instant::now());
                }
                if since.elapsed() >= PROGRESS_TIMEOUT {
                    return Ok(Drained::Stuck { lag });
                }
                progress.log(|| format!("consumer group {}: lag {lag} records", source.group));
            }
            // A broker that was broken may need some seconds.
            Err(error) if since.elapsed() < PROGRESS_TIMEOUT => tracing::debug!("{error:#}"),
            Err(error) => return Err(error).context("the lag of the consumer group can't be read"),
        }
        sleep(POLL_INTERVAL).await;
    }
}

async fn lag(source: &LagSource) -> anyhow::Result<i64> {
    let LagSource { kafka, topic, group } = source.clone();
    Ok(tokio::task::spawn_blocking(move || group_lag(&kafka, &topic, &group)).await??.total())
}
