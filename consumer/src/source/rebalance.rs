//! Handles a rebalance, within the client's `poll`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance},
    topic_partition_list::TopicPartitionListElem,
};

use super::{assignment::Assignment, offset_commit::commit_stored_offsets};

/// Keeps the assignment up to date.
pub struct RebalanceContext {
    pub assignment: Arc<Assignment>,
    /// How long a revoked partition is drained.
    pub drain_timeout: Duration,
}

impl ClientContext for RebalanceContext {}

impl ConsumerContext for RebalanceContext {
    /// Records in flight are stored first, then the offsets are committed, so that the next owner reads no record
    /// twice. A lost partition may already have another owner: its records in flight are dropped.
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let Rebalance::Revoke(list) = rebalance else { return };
        let partitions = partitions_of(list);
        if consumer.assignment_lost() {
            tracing::warn!(?partitions, "consumer group: partitions lost, records in flight are dropped");
            self.assignment.revoke(&partitions);
            return;
        }
        let drained = self.assignment.drain(&partitions, Instant::now() + self.drain_timeout);
        self.assignment.revoke(&partitions);
        commit_stored_offsets(consumer);
        tracing::info!(?partitions, drained, "consumer group: partitions revoked");
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => {
                let partitions = partitions_of(list);
                self.assignment.assign(partitions.iter().copied());
                // librdkafka keeps the pause of a partition across assignments. Without this, a reassigned partition
                // would stay paused.
                if let Err(error) = consumer.resume(list) {
                    tracing::warn!(%error, "Kafka: assigned partitions can't be resumed");
                }
                if !partitions.is_empty() {
                    tracing::info!(
                        ?partitions,
                        all = self.assignment.partitions().len(),
                        "consumer group: partitions assigned"
                    );
                }
            }
            Rebalance::Revoke(_) => {}
            Rebalance::Error(error) => tracing::warn!(%error, "consumer group: rebalance failed"),
        }
    }
}

fn partitions_of(list: &TopicPartitionList) -> Vec<i32> {
    list.elements().iter().map(TopicPartitionListElem::partition).collect()
}
