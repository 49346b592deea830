//! Orders before the measured run, in a run of their own, so that they are in none of its figures.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context;
use chrono::{DateTime, Utc};
use shared::latency::{DUE_TO_COMMIT, Interval, IntervalReader, Latencies};

use super::{lag::wait_for_lag_zero, producer::run_producer, programs::PipelinePrograms, progress::POLL_INTERVAL};
use crate::{
    dirty_pages::write_dirty_pages,
    settings::{Lifecycle, PipelineSettings, WarmUp},
};

/// The longest warm-up that waits for the latency to settle.
const LONGEST: Duration = Duration::from_secs(16);
/// A disk that others write to as well may take much longer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// Seconds that are compared with those before them.
const SPAN: usize = 4;
/// The latency has settled when it falls by less than this share.
const STILL_FALLING: f64 = 0.3;
/// A median p99, in milliseconds, that a further warm-up improves by little.
const LOW: f64 = 25.0;

/// Sends orders as the settings say, and waits until all are stored.
///
/// # Errors
/// When a program fails.
pub async fn warm_up(settings: &PipelineSettings, programs: &mut PipelinePrograms) -> anyhow::Result<()> {
    let began = Instant::now();
    let how = match settings.how_to_warm_up() {
        WarmUp::None => return Ok(()),
        WarmUp::For(duration) => {
            run_producer(settings, duration, &[], Lifecycle::Placed).await?;
            "as --warm-up says".to_owned()
        }
        WarmUp::UntilSettled => {
            let (stats, since) = (programs.stats_dir(), Utc::now());
            // The producer is stopped when its future is dropped.
            let settled = tokio::select! {
                run = run_producer(settings, LONGEST, &[], Lifecycle::Placed) => run.map(|_| None)?,
                settled = wait_until_settled(&stats, since) => Some(settled?),
            };
            let p99 = |p99: f64| format!("p99 from due to stored no longer falls, {p99:.0} ms");
            settled.map_or_else(|| format!("p99 still falls after {LONGEST:?}"), p99)
        }
    };
    tracing::info!("warm-up: {:.0} s, {how}; these orders are not measured", began.elapsed().as_secs_f64());
    wait_for_lag_zero(settings, programs).await?;
    // What was written before is not written by the disk while the run is measured.
    if tokio::time::timeout(WRITE_TIMEOUT, write_dirty_pages()).await.is_err() {
        tracing::warn!("the disk is still busy with what was written before the measured run");
    }
    Ok(())
}

/// Returns the p99 of the last seconds.
async fn wait_until_settled(stats: &Path, since: DateTime<Utc>) -> anyhow::Result<f64> {
    let (mut reader, mut seconds) = (IntervalReader::new(stats), Seconds::new());
    loop {
        tokio::time::sleep(POLL_INTERVAL).await;
        read(&mut reader, since, &mut seconds)?;
        // Of the last second, the entries of some consumers may be lacking; the first one is not complete.
        let complete = seconds.values().skip(1).take(seconds.len().saturating_sub(2));
        let p99: Vec<f64> = complete.filter_map(|latencies| latencies.at_quantile(0.99)).collect();
        if let Some(settled) = settled(&p99) {
            return Ok(settled);
        }
    }
}

/// The latencies from due to stored by the second, since the Unix epoch, in which the orders were stored.
type Seconds = BTreeMap<i64, Latencies>;

/// Adds what the consumers have logged since the last call. The logs may have older entries, from before `since`.
fn read(reader: &mut IntervalReader, since: DateTime<Utc>, seconds: &mut Seconds) -> anyhow::Result<()> {
    let found = |interval: Interval| {
        if interval.middle() >= since {
            seconds.entry(interval.middle().timestamp()).or_default().add(&interval.latencies);
        }
    };
    let read = reader.read(|_, series| series.starts_with(DUE_TO_COMMIT), found);
    read.context("the latency logs can't be read")
}

/// The median of the p99 of the last seconds, if it is low or hardly below that of the seconds before. `p99` has one
/// value a second, in milliseconds.
fn settled(p99: &[f64]) -> Option<f64> {
    let median = |seconds: &[f64]| {
        let mut sorted = seconds.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted[(sorted.len() - 1) / 2]
    };
    let (earlier, last) = p99.split_at(p99.len().checked_sub(SPAN)?);
    let last = median(last);
    let before = earlier.len().checked_sub(SPAN).map(|start| median(&earlier[start..]));
    (last <= LOW || before.is_some_and(|before| last >= before * (1.0 - STILL_FALLING))).then_some(last)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use shared::{
        latency::{LatencyLog, due_to_commit},
        order_id::RunTag,
    };

    use super::*;

    #[test]
    fn the_orders_of_all_tags_and_consumers_count() {
        let folder = tempfile::tempdir().unwrap();
        let mut latencies = Latencies::default();
        latencies.record_nanos(7_000_000);
        for consumer in ["consumer-1", "consumer-2"] {
            let mut log = LatencyLog::open(folder.path(), consumer).unwrap();
            log.append(&due_to_commit(RunTag::near(0, 1)), Duration::from_secs(1), &latencies).unwrap();
            log.append("insert", Duration::from_secs(1), &latencies).unwrap();
        }
        let (mut reader, mut seconds) = (IntervalReader::new(folder.path()), Seconds::new());
        read(&mut reader, DateTime::UNIX_EPOCH, &mut seconds).unwrap();
        assert_eq!(seconds.values().map(Latencies::count).sum::<u64>(), 2);
        let (mut reader, mut seconds) = (IntervalReader::new(folder.path()), Seconds::new());
        read(&mut reader, Utc::now() + TimeDelta::seconds(2), &mut seconds).unwrap();
        assert!(seconds.is_empty(), "an earlier run does not count");
    }

    /// The number of seconds after which the latency has settled.
    fn settles_after(p99: &[f64]) -> Option<usize> {
        (0..=p99.len()).find(|seconds| settled(&p99[..*seconds]).is_some())
    }

    #[test]
    fn warm_brokers_settle_at_once_and_cold_ones_when_the_latency_stops_falling() {
        assert_eq!(settles_after(&[9.0, 70.0, 12.0, 8.0]), Some(4), "one stall is no sign of cold brokers");
        let falling: Vec<f64> = (0..20).map(|second| 1_000.0 * 0.85_f64.powi(second)).collect();
        assert_eq!(settles_after(&falling), None);
        let flat = [900.0, 700.0, 500.0, 400.0, 150.0, 120.0, 110.0, 90.0, 85.0, 95.0, 100.0, 80.0];
        assert_eq!(settles_after(&flat), Some(11));
        assert_eq!(settles_after(&[500.0; 7]), None, "too short to tell");
    }
}
