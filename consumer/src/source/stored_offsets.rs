//! Exports up to where each partition is stored, and since when its oldest record waits: every second, without asking
//! the brokers.

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use chrono::{DateTime, Utc};
use shared::latency::until_interval_end;
use tokio_util::sync::CancellationToken;

use super::{assignment::Assignment, group::Group};
use crate::metrics;

/// Exports the stored offsets of the partitions that are assigned to this instance, and the age of what is not stored.
pub struct StoredOffsets {
    pub group: Arc<Group>,
}

impl StoredOffsets {
    /// Exports at every whole second until `stop`: the ends of partitions that are read then belong to the same second.
    ///
    /// # Errors
    /// Never.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut exported = BTreeSet::new();
        while stop.run_until_cancelled(tokio::time::sleep(until_interval_end(SystemTime::now()))).await.is_some() {
            exported = export(&self.group.member().assignment, exported, Utc::now());
        }
        Ok(())
    }
}

/// Exports the partitions whose stored offset is known. Those that were `exported` before and are not assigned any more
/// have no offset, and nothing that waits: another instance may own them now.
fn export(assignment: &Assignment, exported: BTreeSet<i32>, now: DateTime<Utc>) -> BTreeSet<i32> {
    let handles = assignment.partitions().into_iter().filter_map(|partition| assignment.handle(partition));
    let mut assigned = BTreeSet::new();
    for handle in handles {
        let (partition, Some(offset)) = (handle.partition(), handle.stored_offset()) else { continue };
        gauge(metrics::STORED_OFFSET, partition).set(offset as f64);
        gauge(metrics::LAG_SECONDS, partition).set(age_seconds(handle.waiting_since(), now));
        assigned.insert(partition);
    }
    for partition in exported.difference(&assigned) {
        gauge(metrics::STORED_OFFSET, *partition).set(f64::NAN);
        gauge(metrics::LAG_SECONDS, *partition).set(0.0);
    }
    assigned
}

fn gauge(metric: &'static str, partition: i32) -> ::metrics::Gauge {
    ::metrics::gauge!(metric, "partition" => partition.to_string())
}

/// The age of a record with this timestamp in milliseconds; 0 without one, and where another clock is ahead.
fn age_seconds(timestamp: Option<i64>, now: DateTime<Utc>) -> f64 {
    timestamp.map_or(0.0, |timestamp| now.timestamp_millis().saturating_sub(timestamp).max(0) as f64 / 1_000.0)
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn an_age_is_in_seconds_and_never_negative() {
        let now = DateTime::from_timestamp_millis(10_500).unwrap();
        let ages = [None, Some(8_000), Some(11_000), Some(i64::MIN + 1)].map(|timestamp| age_seconds(timestamp, now));
        assert_eq!(ages[..3], [0.0, 2.5, 0.0]);
        assert!(ages[3] > 1e15);
    }

    #[test]
    fn a_partition_has_a_stored_offset_and_the_age_of_what_waits_while_it_is_assigned() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let lines = |metric: &str| {
            let page = recorder.handle().render();
            let lines = page.lines().filter_map(|line| line.strip_prefix(metric)?.strip_prefix("{partition=\""));
            lines.map(str::to_owned).collect::<BTreeSet<_>>()
        };
        let expected = |lines: [&str; 2]| BTreeSet::from(lines.map(str::to_owned));
        let now = DateTime::from_timestamp_millis(10_500).unwrap();
        let assignment = Assignment::default();
        ::metrics::with_local_recorder(&recorder, || {
            assignment.assign([1, 2, 3]);
            for partition in [1, 2] {
                let handle = assignment.handle(partition).unwrap();
                handle.advance_stored_offset(10);
                handle.note_read(10, Some(8_000));
            }
            let exported = export(&assignment, BTreeSet::new(), now);
            assert_eq!(lines(metrics::STORED_OFFSET), expected(["1\"} 10", "2\"} 10"]), "that of 3 is not known");
            assert_eq!(lines(metrics::LAG_SECONDS), expected(["1\"} 2.5", "2\"} 2.5"]));
            assignment.revoke(&[1]);
            assignment.handle(2).unwrap().note_stored(10, Some(8_000));
            export(&assignment, exported, now);
            assert_eq!(lines(metrics::STORED_OFFSET), expected(["1\"} NaN", "2\"} 11"]));
            assert_eq!(lines(metrics::LAG_SECONDS), expected(["1\"} 0", "2\"} 0"]));
        });
    }
}
