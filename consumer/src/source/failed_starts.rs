//! Reports partitions that can't be started, again and again.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    health::{ConsumerHealth, ConsumerIssue},
    model::PartitionHandle,
};

/// Failures in a row until they are reported. A partition may have no leader for a moment.
const REPORT_AFTER: u32 = 3;

/// The assigned partitions whose last start failed.
#[derive(Default)]
pub struct FailedStarts {
    failures: BTreeMap<i32, Failures>,
}

struct Failures {
    handle: Arc<PartitionHandle>,
    in_a_row: u32,
}

impl FailedStarts {
    /// A start failed, or the lookup of its position. Reports the partitions that failed too often.
    pub fn failed(&mut self, handle: &Arc<PartitionHandle>, error: &anyhow::Error, health: &ConsumerHealth) {
        let first = || Failures { handle: handle.clone(), in_a_row: 0 };
        let failures = self.failures.entry(handle.partition()).or_insert_with(first);
        if !Arc::ptr_eq(&failures.handle, handle) {
            *failures = first();
        }
        failures.in_a_row += 1;
        let partitions = self.reported();
        if !partitions.is_empty() {
            let message =
                format!("Kafka: partitions {partitions:?} can't be started, retrying until they can: {error:#}");
            health.report(ConsumerIssue::PartitionStart, message);
        }
    }

    /// Keeps the failures of partitions that still have to be started. Resolves the issue once none of them has failed
    /// too often.
    pub fn retain(&mut self, is_open: impl Fn(&Arc<PartitionHandle>) -> bool, health: &ConsumerHealth) {
        if self.failures.is_empty() {
            return;
        }
        let was_reported = !self.reported().is_empty();
        self.failures.retain(|_, failures| is_open(&failures.handle));
        if was_reported && self.reported().is_empty() {
            health.resolve(ConsumerIssue::PartitionStart);
        }
    }

    /// The partitions that failed too often.
    fn reported(&self) -> Vec<i32> {
        let often = self.failures.iter().filter(|(_, failures)| failures.in_a_row >= REPORT_AFTER);
        often.map(|(partition, _)| *partition).collect()
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn partitions_that_fail_three_times_in_a_row_are_an_issue_until_each_is_started_or_revoked() {
        let (health, mut starts) = (ConsumerHealth::default(), FailedStarts::default());
        let [first, second] = [1, 2].map(PartitionHandle::new);
        let reasons = || health.status().ready().err().unwrap_or_default();
        let error = anyhow!("no leader");
        for _ in 0..2 {
            starts.failed(&first, &error, &health);
        }
        assert_eq!(reasons(), "");
        starts.retain(|handle| !Arc::ptr_eq(handle, &first), &health);
        for handle in [&first, &first, &second, &second, &first] {
            assert_eq!(reasons(), "", "no partition failed three times since the first one was started");
            starts.failed(handle, &error, &health);
        }
        assert!(reasons().contains("partitions [1] can't be started") && reasons().contains("no leader"));
        starts.failed(&second, &error, &health);
        assert!(reasons().contains("partitions [1, 2] can't be started"), "{}", reasons());
        starts.retain(|handle| !Arc::ptr_eq(handle, &first), &health);
        assert!(!reasons().is_empty(), "the second one is not started");
        second.revoke();
        starts.retain(|handle| !handle.is_revoked(), &health);
        assert_eq!(reasons(), "");
    }

    #[test]
    fn a_partition_that_is_assigned_again_has_not_failed_yet() {
        let (health, mut starts) = (ConsumerHealth::default(), FailedStarts::default());
        for _ in 0..5 {
            starts.failed(&PartitionHandle::new(1), &anyhow!("no leader"), &health);
        }
        assert_eq!(health.status().ready(), Ok(()));
    }
}
