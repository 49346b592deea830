//! Reads the latency of a run's orders, from due to stored, from the consumers' latency logs.

use std::{borrow::Cow, path::Path};

use anyhow::Context;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::{
    latency::{LatencySummary, Stage, due_to_commit, merge_logs, run_series},
    order_id::RunTag,
};

/// The latency from due to stored, in total and by stage.
pub struct LatencyReport {
    pub total: LatencySummary,
    /// The stages of `total`, in order.
    pub stages: Vec<StageSummary>,
}

/// The latency of one stage.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
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
pub fn read_latency_logs(tags: &[RunTag], folder: &Path) -> anyhow::Result<LatencyReport> {
    let total = read_series(tags, folder, due_to_commit)?;
    let stage = |stage: Stage| {
        let latency = read_series(tags, folder, |tag| run_series(stage.name(), tag))?;
        Ok(StageSummary { stage: stage.name().into(), latency })
    };
    Ok(LatencyReport { total, stages: Stage::ALL.into_iter().map(stage).collect::<anyhow::Result<_>>()? })
}

fn read_series(tags: &[RunTag], folder: &Path, series: impl Fn(RunTag) -> String) -> anyhow::Result<LatencySummary> {
    let series: Vec<String> = tags.iter().map(|tag| series(*tag)).collect();
    let merged = merge_logs(folder, |name| series.iter().any(|series| series == name));
    Ok(merged.with_context(|| format!("the latency logs in {} can't be read", folder.display()))?.summary())
}
