//! Exports the stored offset of each partition every second, without asking the brokers.

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use shared::latency::until_interval_end;
use tokio_util::sync::CancellationToken;

use super::{assignment::Assignment, group::Group};
use crate::metrics;

/// Exports the stored offsets of the partitions that are assigned to this instance.
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
            exported = export(&self.group.member().assignment, exported);
        }
        Ok(())
    }
}

/// Exports the stored offsets that are known. Partitions that were `exported` before and are not assigned any more get
/// no value: another instance may own them now.
fn export(assignment: &Assignment, exported: BTreeSet<i32>) -> BTreeSet<i32> {
    let handles = assignment.partitions().into_iter().filter_map(|partition| assignment.handle(partition));
    let known = handles.filter_map(|handle| Some((handle.partition(), handle.stored_offset()?)));
    let mut assigned = BTreeSet::new();
    for (partition, offset) in known {
        gauge(partition).set(offset as f64);
        assigned.insert(partition);
    }
    exported.difference(&assigned).for_each(|partition| gauge(*partition).set(f64::NAN));
    assigned
}

fn gauge(partition: i32) -> ::metrics::Gauge {
    ::metrics::gauge!(metrics::STORED_OFFSET, "partition" => partition.to_string())
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn a_partition_has_a_stored_offset_while_it_is_assigned() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let lines = || {
            let page = recorder.handle().render();
            page.lines()
                .filter(|line| line.starts_with(metrics::STORED_OFFSET))
                .map(str::to_owned)
                .collect::<BTreeSet<_>>()
        };
        let line =
            |partition: i32, value: &str| format!("{}{{partition=\"{partition}\"}} {value}", metrics::STORED_OFFSET);
        let assignment = Assignment::default();
        ::metrics::with_local_recorder(&recorder, || {
            assignment.assign([1, 2, 3]);
            for partition in [1, 2] {
                assignment.handle(partition).unwrap().advance_stored_offset(10);
            }
            let exported = export(&assignment, BTreeSet::new());
            assert_eq!(lines(), BTreeSet::from([line(1, "10"), line(2, "10")]), "the offset of 3 is not known");
            assignment.revoke(&[1]);
            assignment.handle(2).unwrap().advance_stored_offset(12);
            export(&assignment, exported);
            assert_eq!(lines(), BTreeSet::from([line(1, "NaN"), line(2, "12")]));
        });
    }
}
