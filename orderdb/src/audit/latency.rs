//! Reads the latency of a run's orders and changes, from due to stored, from the consumers' latency logs.

use std::{borrow::Cow, path::Path};

use anyhow::Context;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::{
    latency::{DUE_TO_COMMIT, LatencySummary, Stage, change_series, merge_logs, run_series},
    order_id::RunTag,
};

/// The latencies of a run.
pub struct RunLatencies {
    pub orders: LatencyReport,
    pub changes: LatencyReport,
}

/// The latency from due to stored, in total and by stage.
pub struct LatencyReport {
    pub total: LatencySummary,
    /// The stages of `total`, in order.
    pub stages: Vec<StageSummary>,
}

/// The latency of one stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StageSummary {
    /// Name of the [`Stage`].
    pub stage: Cow<'static, str>,
    /// In milliseconds.
    #[serde(flatten)]
    pub latency: LatencySummary,
}

/// Merges the logs in `folder` and picks the series of the run's own orders, which have one of `tags`.
///
/// # Errors
/// When a log can't be read.
pub fn read_latency_logs(tags: &[RunTag], folder: &Path) -> anyhow::Result<RunLatencies> {
    let orders = read_stages(tags, folder, str::to_owned)?;
    Ok(RunLatencies { orders, changes: read_stages(tags, folder, change_series)? })
}

/// `series` is the name of a series by that of orders.
fn read_stages(tags: &[RunTag], folder: &Path, series: impl Fn(&str) -> String) -> anyhow::Result<LatencyReport> {
    let read = |name: &str| read_series(tags, folder, |tag| run_series(&series(name), tag));
    let total = read(DUE_TO_COMMIT)?;
    let stage = |stage: Stage| {
        let latency = read(stage.name())?;
        Ok(StageSummary { stage: stage.name().into(), latency })
    };
    Ok(LatencyReport { total, stages: Stage::ALL.into_iter().map(stage).collect::<anyhow::Result<_>>()? })
}

fn read_series(tags: &[RunTag], folder: &Path, series: impl Fn(RunTag) -> String) -> anyhow::Result<LatencySummary> {
    let series: Vec<String> = tags.iter().map(|tag| series(*tag)).collect();
    let merged = merge_logs(folder, |name| series.iter().any(|series| series == name));
    Ok(merged.with_context(|| format!("the latency logs in {} can't be read", folder.display()))?.summary())
}
