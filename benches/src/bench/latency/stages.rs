//! The stages of the consumer, from its latency logs.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context;
use chrono::{DateTime, Utc};
use shared::{
    latency::{IntervalReader, Latencies, Stage, run_series},
    order_id::RunTag,
};

use super::percentiles::Percentiles;

/// The percentiles of each stage of the orders that were stored from the second of `from` on, in the order of the stages.
///
/// # Errors
/// When the logs can't be read.
pub fn consumer_stages(
    folder: &Path,
    tag: RunTag,
    from: DateTime<Utc>,
) -> anyhow::Result<Vec<(&'static str, Percentiles)>> {
    let names = Stage::ALL.map(|stage| (run_series(stage.name(), tag), stage.name()));
    let names: BTreeMap<String, &str> = names.into();
    let mut by_stage: BTreeMap<&str, Latencies> = BTreeMap::new();
    let found = |interval: shared::latency::Interval| {
        if interval.middle() >= from {
            by_stage.entry(names[&interval.series]).or_default().add(&interval.latencies);
        }
    };
    let read = IntervalReader::new(folder).read(|_, series| names.contains_key(series), found);
    read.context("the latency logs can't be read")?;
    let in_order = Stage::ALL.iter().filter_map(|stage| Some((stage.name(), by_stage.get(stage.name())?)));
    Ok(in_order.map(|(name, latencies)| (name, latencies.summary().into())).collect())
}
